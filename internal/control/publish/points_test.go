package publish_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
)

// pointsConfig has no list but those that certificates name; HOSTS may be asked.
const pointsConfig = `node: {admin: off, data_dir: data}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: ca.crt
    revocation: {crls: {url: cdp, timeout: 5s}, hosts: [HOSTS], refresh: 1h, missing: MISSING}
    limits: {crls: 3, crl_size: 1MiB}
target_groups:
  - {name: app, targets: ["127.0.0.1:1"]}
`

// A pointsRig is a directory with a configuration, and a server of lists that
// certificates name.
type pointsRig struct {
	*files
	web *httptest.Server

	mu     sync.Mutex
	lists  map[string]http.HandlerFunc
	asked  map[string]int
	events chan string // paths, as they are asked for
}

func newPointsRig(t *testing.T, missing, hosts string) *pointsRig {
	p := &pointsRig{files: newFiles(t), lists: map[string]http.HandlerFunc{}, asked: map[string]int{}, events: make(chan string, 1000)}
	p.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		serve := p.lists[r.URL.Path]
		p.mu.Unlock()
		p.events <- r.URL.Path
		if serve == nil {
			http.NotFound(w, r)
			return
		}
		serve(w, r)
	}))
	t.Cleanup(p.web.Close)
	p.write("countersign.yaml", []byte(strings.NewReplacer("HOSTS", hosts, "MISSING", missing).Replace(pointsConfig)))
	return p
}

func (p *pointsRig) put(path string, list []byte) {
	p.serve(path, func(w http.ResponseWriter, _ *http.Request) { w.Write(list) })
}

func (p *pointsRig) serve(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lists[path] = h
}

func (p *pointsRig) times(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// names has a certificate name lists on the server, or elsewhere.
func (p *pointsRig) names(paths ...string) testpki.Option {
	return testpki.Template(func(c *x509.Certificate) {
		for _, path := range paths {
			if strings.HasPrefix(path, "/") {
				path = p.web.URL + path
			}
			c.CRLDistributionPoints = append(c.CRLDistributionPoints, path)
		}
	})
}

func (p *pointsRig) start() *rig {
	p.t.Helper()
	r := newRigOn(p.t, p.files)
	if err := r.publisher.Publish(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	r.run()
	return r
}

// connects makes a handshake with a client's certificate, and returns why it
// was refused.
func connects(t *testing.T, r *rig, client *testpki.Certificate) error {
	t.Helper()
	address := r.node.Addresses()["127.0.0.1:0"].String()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: r.web.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{client.TLS()}})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	_, err = io.ReadAll(conn) // the verdict comes after the client's last flight
	return err
}

// The first handshake waits for the list that its certificate names; whoever is
// on it is refused, and whoever is not is admitted though missing is refuse.
func TestTheListThatACertificateNamesIsFetchedAndEnforced(t *testing.T) {
	for _, missing := range []string{"refuse", "accept"} {
		t.Run(missing, func(t *testing.T) {
			p := newPointsRig(t, missing, "127.0.0.1")
			good, bad := p.root.Client("MacID-1", p.names("/a.crl")), p.root.Client("MacID-2", p.names("/a.crl"))
			p.put("/a.crl", p.root.CRL(testpki.CRLNumber(5), testpki.Revoke(bad)))
			r := p.start()
			if err := connects(t, r, bad); err == nil {
				t.Error("the revoked client is admitted")
			}
			for range 3 {
				if err := connects(t, r, good); err != nil {
					t.Errorf("the other client is refused: %v", err)
				}
			}
			if n := p.times("/a.crl"); n != 1 {
				t.Errorf("the list was asked for %d times, want once", n)
			}
			p.put("/a.crl", p.root.CRL(testpki.CRLNumber(6), testpki.Revoke(bad, good)))
			r.again <- struct{}{}
			r.program.wait(t, `because="a source changed"`, 2)
			if err := connects(t, r, good); err == nil {
				t.Error("the client is admitted though the list has it now")
			}
		})
	}
}

// A list of an intermediate that clients present is held to that intermediate's key.
func TestTheListOfAnIntermediateCountsWithoutAWarning(t *testing.T) {
	p := newPointsRig(t, "refuse", "127.0.0.1")
	issuing := p.root.Intermediate("Fleet Issuing")
	good, bad := issuing.Client("MacID-1", p.names("/i.crl")), issuing.Client("MacID-2", p.names("/i.crl"))
	p.put("/i.crl", issuing.CRL(testpki.CRLNumber(1), testpki.Revoke(bad)))
	r := p.start()
	if err := connects(t, r, good); err != nil {
		t.Errorf("the client is refused: %v", err)
	}
	if err := connects(t, r, bad); err == nil {
		t.Error("the revoked client is admitted")
	}
	if text := r.program.wait(t, `because="a source changed"`, 1); strings.Contains(text, "of no CA in the trust store") {
		t.Errorf("the log warns:\n%s", text)
	}
}

// Many handshakes at once that need a list ask for it once, and all wait for it.
func TestAListIsAskedForOnceForManyHandshakes(t *testing.T) {
	p := newPointsRig(t, "refuse", "127.0.0.1")
	client := p.root.Client("MacID-1", p.names("/a.crl"))
	arrive := make(chan struct{})
	list := p.root.CRL()
	p.serve("/a.crl", func(w http.ResponseWriter, _ *http.Request) { <-arrive; w.Write(list) })
	r := p.start()
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- connects(t, r, client) }()
	}
	<-p.events
	close(arrive)
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	if n := p.times("/a.crl"); n != 1 {
		t.Errorf("the list was asked for %d times", n)
	}
}

// What was found is remembered: after a start without network it is enforced,
// and was not waited for.
func TestAFoundListIsEnforcedAfterAStartWithoutNetwork(t *testing.T) {
	p := newPointsRig(t, "accept", "127.0.0.1")
	bad := p.root.Client("MacID-2", p.names("/a.crl"))
	p.put("/a.crl", p.root.CRL(testpki.CRLNumber(5), testpki.Revoke(bad)))
	r := p.start()
	connects(t, r, bad)
	r.program.wait(t, `because="a source changed"`, 1)
	r.close()
	p.web.Close()
	r = p.start()
	if !revoked(t, r, bad) {
		t.Error("the client is admitted")
	}
	draft, faults := publish.Read(t.Context(), r.path("countersign.yaml"), publish.Options{}, nil)
	if draft == nil || len(draft.Lists["fleet"]) != 1 {
		t.Errorf("a check finds %v", faults)
	}
	info, err := os.Stat(p.path("data/sources/points.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// What a certificate names and is of no use changes nothing for others, and
// missing decides about the client.
func TestAFoundListOfNoUseHarmsNobodyElse(t *testing.T) {
	other := testpki.NewRoot(t, "Other Root")
	for _, tc := range []struct {
		name, want string
		serve      func(p *pointsRig) http.HandlerFunc
	}{
		{"of another authority", "which no authority signed whose certificates name it", func(p *pointsRig) http.HandlerFunc { return list(other.CRL()) }},
		{"of another authority of that name", "which no authority signed", func(p *pointsRig) http.HandlerFunc { return list(testpki.NewRoot(p.t, "Fleet Root").CRL()) }},
		{"truncated", "refused", func(p *pointsRig) http.HandlerFunc { der := p.root.CRL(); return list(der[:len(der)/2]) }},
		{"of the future", "in the future", func(p *pointsRig) http.HandlerFunc {
			return list(p.root.CRL(testpki.CRLValid(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))))
		}},
		{"a page", "sends an HTML page", func(p *pointsRig) http.HandlerFunc { return list([]byte("<html>")) }},
		{"missing", "404 Not Found", func(p *pointsRig) http.HandlerFunc { return http.NotFound }},
		{"endless", "it is larger than 1048576 bytes", func(p *pointsRig) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for block := make([]byte, 64<<10); r.Context().Err() == nil; {
					block[0] = 0x30
					if _, err := w.Write(block); err != nil {
						return
					}
				}
			}
		}},
		{"a redirect to the metadata service", "sends us to another one, http://169.254.169.254", func(p *pointsRig) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPointsRig(t, "refuse", "127.0.0.1")
			good, harmed := p.root.Client("MacID-1", p.names("/good.crl")), p.root.Client("MacID-2", p.names("/bad.crl"))
			p.put("/good.crl", p.root.CRL(testpki.CRLNumber(5), scoped(p.web.URL+"/good.crl")))
			p.serve("/bad.crl", tc.serve(p))
			r := p.start()
			if err := connects(t, r, good); err != nil {
				t.Fatalf("a client with a good list is refused: %v", err)
			}
			if err := connects(t, r, harmed); err == nil {
				t.Error("a client without a list is admitted though missing is refuse")
			}
			text := r.program.wait(t, tc.want, 1)
			if strings.Contains(text, refused) {
				t.Errorf("the configuration was refused:\n%s", text)
			}
			if err := connects(t, r, good); err != nil {
				t.Errorf("a client with a good list is refused afterwards: %v", err)
			}
			// Another way to the same list helps.
			again := p.root.Client("MacID-3", p.names("/bad.crl", "/good2.crl"))
			p.put("/good2.crl", p.root.CRL(testpki.CRLNumber(7)))
			if err := connects(t, r, again); err != nil {
				t.Errorf("a client with a second list is refused: %v", err)
			}
		})
	}
}

func list(der []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(der) }
}

// scoped has a list speak only for certificates that name a URI (RFC 5280 section 5.2.5).
func scoped(uri string) testpki.CRLOption {
	wrap := func(tag byte, b []byte) []byte { return append([]byte{tag, byte(len(b))}, b...) }
	return testpki.CRLExtension(true, wrap(0x30, wrap(0xa0, wrap(0xa0, wrap(0x86, []byte(uri))))), 2, 5, 29, 28)
}

// Nobody is asked who is not listed, and no more than limits.crls allows.
func TestOnlySoManyListedServersAreAsked(t *testing.T) {
	p := newPointsRig(t, "accept", "crl.example.com")
	r := p.start()
	if err := connects(t, r, p.root.Client("MacID-1", p.names("/a.crl", "ldap:///cn=a", "http://169.254.169.254/a.crl"))); err != nil {
		t.Error(err)
	}
	r.program.wait(t, "revocation.hosts does not list 127.0.0.1", 1)
	if n := p.times("/a.crl"); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}

	p = newPointsRig(t, "accept", "127.0.0.0/8")
	r = p.start()
	for _, path := range []string{"/1", "/2", "/3", "/4", "/5"} {
		if err := connects(t, r, p.root.Client("MacID"+path, p.names(path))); err != nil {
			t.Error(err)
		}
	}
	r.program.wait(t, "limits.crls of the trust store allows no more", 1)
	if n := len(p.events); n != 3 {
		t.Errorf("%d lists were asked for, want 3", n)
	}
}

// A client that does not chain to an anchor has nothing asked for.
func TestAStrangerHasNothingAskedFor(t *testing.T) {
	p := newPointsRig(t, "accept", "127.0.0.1")
	r := p.start()
	stranger := testpki.NewRoot(t, "Fleet Root").Client("MacID-1", p.names("/a.crl"))
	if err := connects(t, r, stranger); err == nil {
		t.Error("a stranger is admitted")
	}
	if err := connects(t, r, p.root.Client("MacID-1", p.names("/a.crl"), testpki.Expired())); err == nil {
		t.Error("an expired client is admitted")
	}
	if n := len(p.events); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// A server that hangs is waited for once, for a few seconds.
func TestAHangingServerOfAListIsNotWaitedForAgain(t *testing.T) {
	p := newPointsRig(t, "accept", "127.0.0.1")
	client := p.root.Client("MacID-1", p.names("/a.crl"))
	p.serve("/a.crl", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := p.start()
	if err := connects(t, r, client); err != nil {
		t.Errorf("refused: %v", err)
	}
	began := time.Now()
	for range 5 {
		if err := connects(t, r, client); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("five more handshakes took %v", took)
	}
}

// A kept copy that has become of no use, as limits were lowered, keeps nothing
// from coming into force.
func TestAFoundListThatIsNotAllowedAnyMoreIsLeftOut(t *testing.T) {
	p := newPointsRig(t, "accept", "127.0.0.1")
	one, two := p.root.Client("MacID-1", p.names("/a.crl")), p.root.Client("MacID-2", p.names("/a.crl"))
	p.put("/a.crl", p.root.CRL(testpki.CRLNumber(5), testpki.Revoke(one, two)))
	r := p.start()
	connects(t, r, one)
	r.program.wait(t, `because="a source changed"`, 1)
	text, err := os.ReadFile(p.path("countersign.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.config(with(string(text), "crls: 3,", "crls: 3, crl_entries: 1,"))
	r.program.wait(t, `because="a file changed: `, 1)
	r.program.wait(t, "what a source has now is refused; nothing of it is in force", 1)
	if revoked(t, r, one) {
		t.Error("a list beyond the limit is in force")
	}
	r.config(with(string(text), "hosts: [127.0.0.1]", "hosts: [crl.example.com]"))
	r.program.wait(t, `because="a file changed: `, 2)
	r.config(string(text))
	r.program.wait(t, `because="a file changed: `, 3)
	if !revoked(t, r, one) {
		t.Error("the list is allowed again, and is not in force")
	}
	var stores map[string][]struct{ URL string }
	data, err := os.ReadFile(p.path("data/sources/points.json"))
	if err := cmpOr(err, json.Unmarshal(data, &stores)); err != nil || len(stores["fleet"]) != 1 {
		t.Errorf("the file says %s, %v", data, err)
	}
}
