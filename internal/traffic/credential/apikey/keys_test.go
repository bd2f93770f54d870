package apikey_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/apikey"
)

func TestAKeyIsKnownByItsDigest(t *testing.T) {
	keys, faults := apikey.Parse("partners", []byte("# partners\n\n"+apikey.Line("acme", "one")+"\r\n  "+apikey.Line("acme", "two")+"\n"+strings.ToUpper(apikey.Line("B", "three"))))
	if len(faults) > 0 || keys.Len() != 3 {
		t.Fatalf("%d keys, faults %v", keys.Len(), faults)
	}
	for key, id := range map[string]string{"one": "acme", "two": "acme", "three": "B"} {
		got, done, failed := keys.Quick([]byte(key), credential.Circumstances{})
		if got != id || !done || failed != nil {
			t.Errorf("%s: %q, %t, %v", key, got, done, failed)
		}
		if got, failed := keys.Verify(t.Context(), []byte(key), credential.Circumstances{}); got != id || failed != nil {
			t.Errorf("%s, verified: %q, %v", key, got, failed)
		}
	}
	sum := sha256.Sum256([]byte("one"))
	for _, key := range []string{"", "One", "one ", "acme", "acme:one", hex.EncodeToString(sum[:]), apikey.Line("acme", "one"), strings.Repeat("x", 1<<20)} {
		_, done, failed := keys.Quick([]byte(key), credential.Circumstances{})
		if !done || failed == nil || failed.Code != countersign.CredentialInvalid {
			t.Errorf("%.50q: %t, %v", key, done, failed)
		}
		if failed != nil && key != "" && key != "one " && strings.Contains(failed.Reason, key) {
			t.Errorf("%.50q is in the reason: %s", key, failed.Reason)
		}
	}
}

func TestEveryFaultOfAFileOfKeysHasItsLine(t *testing.T) {
	good := apikey.Line("a", "k")
	digest := good[len("a:"):]
	text := strings.Join([]string{
		good,
		"a-key-that-somebody-put-there-as-it-is",
		":" + digest,
		strings.Repeat("x", 129) + ":" + digest,
		"a b:" + digest,
		"ä:" + digest,
		"c:" + digest[:62],
		"c:" + digest + "00",
		"c:" + strings.Replace(digest, digest[:1], "g", 1),
		"b:" + digest,
		apikey.Line("empty", ""),
	}, "\n")
	keys, faults := apikey.Parse("x", []byte(text))
	if keys.Len() != 1 {
		t.Errorf("%d keys, want the good one", keys.Len())
	}
	var lines []int
	for _, f := range faults {
		lines = append(lines, f.Line)
		if strings.Contains(f.Found, "somebody") {
			t.Errorf("a fault shows what may be a key: %s", f.Found)
		}
	}
	if got := fmt.Sprint(lines); got != "[2 3 4 5 6 7 8 9 10 11]" {
		t.Errorf("faults at lines %s: %v", got, faults)
	}
}

func TestALookUpOfAKeyAllocatesNothing(t *testing.T) {
	keys, _ := apikey.Parse("x", []byte(apikey.Line("a", "secret")))
	key := []byte("secret")
	if n := testing.AllocsPerRun(100, func() {
		if _, _, failed := keys.Quick(key, credential.Circumstances{}); failed != nil {
			t.Fatal(failed)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(apikey.Line("a", "k") + "\n# x\nb:00\n"))
	f.Add([]byte("\x00:\xff\r\n:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, faults := apikey.Parse("x", data)
		if lines := strings.Count(string(data), "\n") + 1; keys.Len()+len(faults) > lines {
			t.Errorf("%d keys and %d faults in %d lines", keys.Len(), len(faults), lines)
		}
		if _, _, failed := keys.Quick(nil, credential.Circumstances{}); failed == nil {
			t.Error("nothing is a key")
		}
	})
}
