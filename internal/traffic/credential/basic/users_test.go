package basic_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/basic"
)

func hash(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func shown(text string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(text))) }

var now credential.Circumstances

func TestAPasswordIsVerifiedOnceAndRememberedThen(t *testing.T) {
	users, faults := basic.Parse("staff", []byte("ada:"+strings.Replace(hash(t, "pass:word", bcrypt.MinCost), "$2a$", "$2y$", 1)+"\nbob:"+hash(t, "other", 10)+"\n"), basic.NewTurns())
	if len(faults) != 1 || !faults[0].Warning { // of the cost of the first, which is that of a test
		t.Fatal(faults)
	}
	good := shown("ada:pass:word")
	if _, done, _ := users.Quick(good, now); done {
		t.Error("known before it was verified")
	}
	if user, failed := users.Verify(t.Context(), good, now); user != "ada" || failed != nil {
		t.Fatalf("%q, %v", user, failed)
	}
	if user, done, failed := users.Quick(good, now); user != "ada" || !done || failed != nil {
		t.Errorf("not remembered: %q, %t, %v", user, done, failed)
	}
	for _, bad := range []string{"ada:pass", "ada:other", "bob:pass:word", "eve:pass:word", "ada:", ":", "Ada:pass:word", "ada:pass:word "} {
		if _, failed := users.Verify(t.Context(), shown(bad), now); failed == nil || failed.Code != countersign.CredentialInvalid {
			t.Errorf("%s: %v", bad, failed)
		} else if _, password, _ := strings.Cut(bad, ":"); len(password) > 4 && strings.Contains(failed.Reason, password) {
			t.Errorf("the password is in the reason: %s", failed.Reason)
		}
	}
}

func TestWhatIsNoNameWithAPasswordIsRefusedAtOnce(t *testing.T) {
	users, _ := basic.Parse("staff", []byte("ada:"+hash(t, "x", bcrypt.MinCost)), basic.NewTurns())
	for _, bad := range []string{
		"", "ada", "!", string(shown("ada")), string(shown("a\x01b:x")), string(shown("\xff:x")), string(shown("ada:" + strings.Repeat("x", 73))),
		string(shown("ada:x\x00y")), string(shown(strings.Repeat("a", 256) + ":x")), strings.TrimRight(string(shown("ada:xy")), "=") + "\n",
		strings.Repeat("QUFB", 300), string(shown("ada:x")) + "QQ",
	} {
		if _, done, failed := users.Quick([]byte(bad), now); !done || failed == nil || failed.Code != countersign.CredentialInvalid {
			t.Errorf("%.40q: %t, %v", bad, done, failed)
		}
	}
}

// A flood of passwords waits, or is turned away; it does not take all CPUs.
func TestWhoCannotWaitForATurnIsToldSo(t *testing.T) {
	users, _ := basic.Parse("staff", []byte("ada:"+hash(t, "x", 8)), basic.NewTurns())
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[countersign.Code]int{}
	for i := range 64 {
		all.Go(func() {
			_, failed := users.Verify(over, shown(fmt.Sprint("ada:", i)), now)
			mu.Lock()
			defer mu.Unlock()
			if codes[failed.Code]++; failed.Code == countersign.CredentialUnavailable && failed.Wait == 0 {
				t.Error("not told when to come again")
			}
		})
	}
	all.Wait()
	if codes[countersign.CredentialInvalid] == 0 || codes[countersign.CredentialUnavailable]+codes[countersign.CredentialInvalid] != 64 {
		t.Errorf("%v", codes)
	}
}

func TestEveryFaultOfAnHtpasswdFileHasItsLine(t *testing.T) {
	good := hash(t, "x", 10)
	lines := []string{
		"ada:" + good,
		"bob:$apr1$Tq2q8kJ7$7n4C0Rf3V0n8f1Q3v1f1k.", // MD5 of Apache
		"bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
		"bob:$6$salt$hash",
		"bob:plain",
		"bob",
		":" + good,
		"ada:" + good,
		"eve:" + good[:59],
		"eve:" + strings.Replace(good, "$10$", "$31$", 1),
		"eve:" + strings.Replace(good, "$10$", "$15$", 1),
		"eve:" + good[:40] + "=" + good[41:],
		"\x01:" + good,
		"weak:" + hash(t, "x", 5),
		"# all of this",
	}
	users, faults := basic.Parse("staff", []byte(strings.Join(lines, "\n")), basic.NewTurns())
	var refused, warned []int
	for _, f := range faults {
		if f.Warning {
			warned = append(warned, f.Line)
		} else {
			refused = append(refused, f.Line)
		}
		if strings.Contains(f.Found, "plain") || strings.Contains(f.Found, good[10:30]) {
			t.Errorf("a fault shows a secret: %s", f.Found)
		}
	}
	if want := []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}; !slices.Equal(refused, want) || !slices.Equal(warned, []int{14}) {
		t.Errorf("refused %v, warned of %v: %v", refused, warned, faults)
	}
	if users.Len() != 2 {
		t.Errorf("%d users, want ada and weak", users.Len())
	}
}

func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte("ada:$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n#\nx"))
	f.Add([]byte("ada:{SHA}x\r\n\xff:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, faults := basic.Parse("x", data, basic.NewTurns())
		if lines := strings.Count(string(data), "\n") + 1; users.Len() > lines || len(faults) > lines {
			t.Errorf("%d users and %d faults in %d lines", users.Len(), len(faults), lines)
		}
	})
}

func FuzzShown(f *testing.F) {
	users, _ := basic.Parse("x", []byte("ada:"+hash(f, "x", 4)), basic.NewTurns())
	f.Add(shown("ada:x"))
	f.Add([]byte("===="))
	f.Fuzz(func(t *testing.T, data []byte) {
		user, failed := users.Verify(t.Context(), data, now)
		text, err := base64.StdEncoding.DecodeString(string(data))
		if good := err == nil && string(text) == "ada:x"; (failed == nil) != good || failed == nil && user != "ada" {
			t.Errorf("%q: %q, %v", data, user, failed)
		}
	})
}
