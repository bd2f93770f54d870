package publish

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/sticky"
)

func TestSealingKeysAreReadAsTheyAreWritten(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, sticky.KeySize))
	for text, want := range map[string]string{
		key:                                "",
		"# of 2026\n\n" + key + "\n" + key: "",
		" " + key + "\r\n":                 "",
		"":                                 "no key, want at least one",
		"# nothing\n":                      "no key, want at least one",
		key + "\nno base64!":               "line 2 is not base64",
		"c2hvcnQ=":                         "line 1 is a key of 5 bytes, want 32",
		strings.Repeat("A", 70_000) + "\n": "too long",
	} {
		_, err := parseSealing([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
}

func TestTheSealingKeyIsMadeOnceAndKept(t *testing.T) {
	p, now := &Publisher{}, time.Now()
	cfg := &config.Config{Node: config.Node{DataDir: filepath.Join(t.TempDir(), "data")}}
	sealed := func() []byte {
		t.Helper()
		keys, err := p.sealing(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return keys.Append(nil, "test", sticky.Seal{Value: 7, Made: now, Until: now.Add(time.Hour)})
	}
	first := sealed()
	path := filepath.Join(cfg.Node.DataDir, sealingFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v; want a file for nobody else", info, err)
	}
	p = &Publisher{} // the program starts anew
	keys, err := p.sealing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := keys.Open(first, "test", now); !ok || s.Value != 7 {
		t.Errorf("what was sealed before does not open: %+v", s)
	}
	if err := os.WriteFile(path, []byte("nonsense!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.sealing(cfg); err == nil || !strings.Contains(err.Error(), path+": line 1 is not base64; remove the file") {
		t.Errorf("a broken file: %v", err)
	}
	cfg.Node.DataDir = ""
	one, err := p.sealing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := p.sealing(cfg); one != two {
		t.Error("without a data_dir each reload makes a key")
	}
}
