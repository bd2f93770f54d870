package ca

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/succession"
	"countersign.dev/internal/wire/dn"
)

// TestMain runs this binary as the victim of the tests that kill when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("COUNTERSIGN_TEST_VICTIM"); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	if dir := os.Getenv("COUNTERSIGN_TEST_HEIRS"); dir != "" {
		fmt.Fprintln(os.Stderr, heirs(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim issues, saves and revokes, several at once, until it is killed. A line
// on its standard output is a promise: this serial was handed out, or is revoked.
func victim(dir string) error {
	a, err := Open(Config{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for caller := range 4 {
		go func() {
			for n := 0; ; n++ {
				if err := suffer(a, fmt.Sprintf("device %d of %d of %d", n, caller, os.Getpid()), n%3 == 2); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func suffer(a *Authority, name string, revoke bool) error {
	issued, err := a.Issue(Request{CommonName: name})
	if err != nil {
		return err
	}
	if err := issued.Save(FilesFor(filepath.Join(a.Dir(), "..", "out"), name)); err != nil {
		return err
	}
	serial := dn.Serial(issued.Certificate.SerialNumber)
	fmt.Println("issued", serial)
	if !revoke {
		return nil
	}
	done, err := a.RevokeCertificate(issued.Certificate, "", time.Time{})
	if err != nil {
		return err
	}
	fmt.Println("revoked", serial, done.Lists.Issuing.Number)
	return nil
}

// Whenever it is killed, the authority opens again; what it promised is on
// record; the number of the list never goes back; what lies in the output
// directory is whole.
func TestKilledAtAnyMoment(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	rounds := 200
	if testing.Short() {
		rounds = 10
	}
	issued, revoked := map[string]bool{}, map[string]bool{}
	var number int64
	for round := range rounds {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "COUNTERSIGN_TEST_VICTIM="+a.Dir())
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		last := rand.IntN(16)
		promised := number
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == last {
				// It goes on working while the signal is on its way: the
				// moment at which it dies is nobody's choice.
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			words := strings.Fields(lines.Text())
			switch {
			case len(words) == 2 && words[0] == "issued":
				issued[words[1]] = true
			case len(words) == 3 && words[0] == "revoked":
				revoked[words[1]] = true
				n, err := strconv.ParseInt(words[2], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if n <= number {
					t.Errorf("round %d: list %d after %d of a round before", round, n, number)
				}
				promised = max(promised, n)
			}
		}
		_ = c.Wait() // "signal: killed"
		lists, err := a.Lists()
		if err != nil {
			t.Fatal(err)
		}
		if number = lists.Issuing.Number.Int64(); number < promised {
			t.Errorf("round %d: list %d lies there after %d was promised", round, number, promised)
		}
		if round%20 == 0 || round == rounds-1 {
			check(t, a.Dir(), issued, revoked)
		}
	}
	if len(issued) == 0 || len(revoked) == 0 {
		t.Fatal("nothing was issued or revoked")
	}
	t.Logf("%d issued, %d revoked", len(issued), len(revoked))
}

func check(t *testing.T, dir string, issued, revoked map[string]bool) {
	t.Helper()
	a, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	all, err := collect(a)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range all {
		known[c.Serial] = true
		if kept, ok, err := a.Status(t.Context(), c.Serial); !ok || err != nil || kept.DER == nil {
			t.Errorf("%s is on record without itself: %v", c.Serial, err)
		}
	}
	for serial := range issued {
		if !known[serial] {
			t.Errorf("%s was handed out but is not on record", serial)
		}
	}
	lists, err := a.Lists()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, e := range lists.Issuing.RevokedCertificateEntries {
		listed[dn.Serial(e.SerialNumber)] = true
	}
	for serial := range revoked {
		if !listed[serial] {
			t.Errorf("%s was reported as revoked but is not listed", serial)
		}
	}
	out := filepath.Join(dir, "..", "out")
	files, err := filepath.Glob(filepath.Join(out, "*.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			continue // a name reserved by CreateFile: nobody was told of it
		}
		chain, err := pemfile.ReadChain(f)
		if err != nil || len(chain) != 2 {
			t.Errorf("%s: %d certificates, %v", f, len(chain), err)
			continue
		}
		if serial := dn.Serial(chain[0].SerialNumber); !known[serial] {
			t.Errorf("%s holds %s, which is not on record", f, serial)
		}
	}
}

// heirs makes one issuing authority after the other until it is killed.
func heirs(dir string) error {
	a, err := Open(Config{Dir: dir})
	if err != nil {
		return err
	}
	for {
		if _, err := a.Rollover(context.Background(), succession.Next{}); err != nil {
			return err
		}
		fmt.Println(len(a.Issuers()))
	}
}

// Whenever a rollover is cut off, the authority opens again, issues, has a list
// for each issuing authority, and can be rolled over.
func TestARolloverKilledAtAnyMoment(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 15 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "COUNTERSIGN_TEST_HEIRS="+a.Dir())
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		promised := 0
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == round%3 {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if promised, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Wait() // "signal: killed"
		if a, err = Open(Config{Dir: a.Dir()}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		issued, err := a.Issue(Request{CommonName: "device"})
		if err != nil || issued.Certificate.CheckSignatureFrom(a.Issuing()) != nil || len(a.Issuers()) < promised {
			t.Fatalf("round %d: %d issuing authorities after %d were promised, %v", round, len(a.Issuers()), promised, err)
		}
		lists, err := a.CRL(0)
		if err != nil {
			t.Fatal(err)
		}
		for n, list := range lists.Issuers {
			if list == nil {
				t.Errorf("round %d: issuing authority %d has no list", round, n+1)
			}
		}
	}
}
