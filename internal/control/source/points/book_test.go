package points_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/control/source/points"
	"countersign.dev/internal/control/source/reach"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a Book in a directory, with what it has asked for.
type rig struct {
	t     *testing.T
	dir   string
	now   time.Time
	book  *points.Book
	asked []string
	log   strings.Builder
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), now: time.Now()}
	if err := os.Mkdir(filepath.Join(r.dir, "sources"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.open()
	return r
}

// open has the Book read anew, as after a restart.
func (r *rig) open() {
	r.asked = nil
	r.book = points.New(points.Config{
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
		Now:    func() time.Time { return r.now },
		Ask:    func(s source.Spec) { r.asked = append(r.asked, s.URL); r.book.Missed(s.URL) },
	})
	r.book.Load(r.dir, false)
}

func (r *rig) inquirer(most int, hosts ...string) *points.Inquirer {
	lists, _, err := revocation.New(revocation.Config{}, nil, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.book.Inquirer("fleet", points.Settings{Spec: source.Spec{Spec: origin.Spec{Reach: reach.New(hosts)}}, Most: most, Lists: lists})
}

// path is of a certificate that names lists.
func path(ca *testpki.Certificate, urls ...string) []*x509.Certificate {
	leaf := ca.Client("MacID-1", testpki.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = urls }))
	return []*x509.Certificate{leaf.X509, ca.X509}
}

func (r *rig) urls() (urls []string) {
	for _, p := range r.book.Of("fleet") {
		urls = append(urls, p.URL)
	}
	return urls
}

// A list that no certificate names any more is forgotten, however often others are named.
func TestAListThatIsNotNeededIsDropped(t *testing.T) {
	r := newRig(t)
	root := testpki.NewRoot(t, "Fleet Root")
	a := r.inquirer(10, "crl.example.com")
	used, unused := path(root, "http://crl.example.com/used.crl"), path(root, "http://crl.example.com/unused.crl")
	a.Inquire(t.Context(), used, r.now)
	a.Inquire(t.Context(), unused, r.now)
	if len(r.asked) != 2 || len(r.urls()) != 2 {
		t.Fatalf("asked for %q, known are %q", r.asked, r.urls())
	}
	r.now = r.now.Add(29 * 24 * time.Hour)
	if r.book.Sweep([]string{"fleet"}) {
		t.Error("dropped after 29 days")
	}
	if a.Lacks(used, r.now) {
		t.Error("a list that could not be had is asked for again by a handshake")
	}
	r.now = r.now.Add(2 * 24 * time.Hour)
	if !r.book.Sweep([]string{"fleet"}) || len(r.urls()) != 1 || r.urls()[0] != "http://crl.example.com/used.crl" {
		t.Errorf("after 31 days known are %q", r.urls())
	}
	if !a.Lacks(unused, r.now) {
		t.Error("what was dropped is not asked for again")
	}
	r.open()
	if got := r.urls(); len(got) != 1 {
		t.Errorf("after a restart known are %q", got)
	}
	if !r.book.Sweep(nil) || len(r.urls()) != 0 {
		t.Errorf("of a trust store that is gone, known are %q", r.urls())
	}
}

// Whatever certificates name, what is remembered and asked for has bounds.
func TestWhatIsRememberedHasBounds(t *testing.T) {
	r := newRig(t)
	root := testpki.NewRoot(t, "Fleet Root")
	a := r.inquirer(3, "crl.example.com")
	var many []string
	for _, s := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		many = append(many, "http://crl.example.com/"+s)
	}
	a.Inquire(t.Context(), path(root, many...), r.now)
	for _, url := range many {
		a.Inquire(t.Context(), path(root, url), r.now)
		a.Lacks(path(root, "http://"+url[len(url)-1:]+".example.net/"), r.now)
	}
	if len(r.asked) != 3 || len(r.urls()) != 3 {
		t.Errorf("asked for %q, known are %q", r.asked, r.urls())
	}
	for range 20 { // authorities of one name, all of which name one list
		a.Inquire(t.Context(), path(testpki.NewRoot(t, "Fleet Root"), many[0]), r.now)
	}
	if n := len(r.book.Of("fleet")[0].Issuers); n != 8 {
		t.Errorf("%d authorities are remembered", n)
	}
	if n := strings.Count(r.log.String(), "level=WARN"); n == 0 || n > 64 {
		t.Errorf("%d warnings", n)
	}
}

// A file that is damaged, or that others may write to, says nothing, and is told of.
func TestADamagedFileSaysNothing(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"cut off":            func(file string) error { return os.Truncate(file, 20) },
		"empty":              func(file string) error { return os.Truncate(file, 0) },
		"writable by others": func(file string) error { return os.Chmod(file, 0o666) },
		"something else":     func(file string) error { return os.WriteFile(file, []byte("[1, 2]"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.inquirer(3, "crl.example.com").Inquire(t.Context(), path(testpki.NewRoot(t, "Fleet Root"), "http://crl.example.com/a.crl"), r.now)
			r.book.Settle(nil)
			if r.open(); len(r.urls()) != 1 {
				t.Fatalf("known are %q", r.urls())
			}
			if err := damage(filepath.Join(r.dir, "sources", "points.json")); err != nil {
				t.Fatal(err)
			}
			if r.open(); len(r.urls()) != 0 || !strings.Contains(r.log.String(), "is not remembered") {
				t.Errorf("known are %q; the log says %s", r.urls(), r.log.String())
			}
		})
	}
}

// A handshake whose certificate names nothing, or what is known already, costs
// next to nothing.
func BenchmarkLacks(b *testing.B) {
	root := testpki.NewRoot(b, "Fleet Root")
	book := points.New(points.Config{})
	lists, _, err := revocation.New(revocation.Config{}, nil, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	a := book.Inquirer("fleet", points.Settings{Spec: source.Spec{Spec: origin.Spec{Reach: reach.New([]string{"crl.example.com"})}}, Most: 10, Lists: lists})
	now := time.Now()
	for name, p := range map[string][]*x509.Certificate{"none": path(root), "known": path(root, "http://crl.example.com/a.crl")} {
		book.Settle(nil)
		b.Run(name, func(b *testing.B) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			a.Inquire(ended, p, now)
			book.Missed("http://crl.example.com/a.crl")
			b.ReportAllocs()
			for b.Loop() {
				a.Lacks(p, now)
			}
		})
	}
}
