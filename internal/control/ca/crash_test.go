package ca

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/wire/dn"
)

// TestMain runs this binary as the victim of TestKilledAtAnyMoment when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("COUNTERSIGN_TEST_VICTIM"); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim issues, saves and revokes until it is killed. A line on its standard
// output is a promise: this serial was handed out, or is revoked.
func victim(dir string) error {
	a, err := Open(Config{Dir: dir})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("device %d of %d", n, os.Getpid())
		issued, err := a.Issue(Request{CommonName: name})
		if err != nil {
			return err
		}
		if err := issued.Save(FilesFor(filepath.Join(dir, "..", "out"), name)); err != nil {
			return err
		}
		serial := dn.Serial(issued.Certificate.SerialNumber)
		fmt.Println("issued", serial)
		if n%2 == 0 {
			continue
		}
		done, err := a.RevokeCertificate(issued.Certificate, "", time.Time{})
		if err != nil {
			return err
		}
		fmt.Println("revoked", serial, done.Lists.Issuing.Number)
	}
}

// Whenever it is killed, the authority opens again; what it promised is on
// record; no number is used twice; what lies in the output directory is whole.
func TestKilledAtAnyMoment(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	issued, revoked := map[string]bool{}, map[string]bool{}
	number := ""
	for round := range 6 {
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
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 3+2*round {
				// It goes on working while the signal is on its way: the
				// moment at which it dies is nobody's choice.
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			words := strings.Fields(lines.Text())
			switch words[0] {
			case "issued":
				issued[words[1]] = true
			case "revoked":
				revoked[words[1]] = true
				if words[2] == number {
					t.Errorf("the list number %s was used twice", number)
				}
				number = words[2]
			}
		}
		_ = c.Wait() // "signal: killed"
		check(t, a.Dir(), issued, revoked)
	}
	if len(issued) == 0 || len(revoked) == 0 {
		t.Fatal("nothing was issued or revoked")
	}
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
