package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// Every refusal is a *.bad.yaml beside its sentences, every warning a
// *.warn.yaml; a *.good.yaml has neither.
func TestSentences(t *testing.T) {
	t.Setenv("COUNTERSIGN_TEST_PORT", "9001")
	t.Setenv("COUNTERSIGN_TEST_WORD", "many")
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		base := filepath.Base(file)
		t.Run(base, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, faults := Parse(base, data, "dir")
			kind := strings.TrimPrefix(filepath.Ext(strings.TrimSuffix(base, ".yaml")), ".")
			if bad := kind == "bad" || kind == "shape"; bad != (c == nil) || bad != (faults.Err() != nil) {
				t.Errorf("config %v with faults:\n%v", c != nil, faults)
			}
			if kind == "good" {
				if len(faults) > 0 {
					t.Errorf("faults:\n%v", faults)
				}
				return
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", faults.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test -run %s -update writes it)", err, t.Name())
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("sentences differ (-want +got):\n%s", diff)
	}
}
