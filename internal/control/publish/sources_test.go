package publish_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/testpki"
)

// fetchedConfig has a bundle and a list by URL; WEB is where they are. Nothing is
// asked for again unless somebody is in a hurry.
const fetchedConfig = `node: {admin: off, data_dir: data}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: {url: "WEB/ca.pem", ca: web.crt, timeout: 5s}
    refresh: 1h
    revocation: {crls: {url: "WEB/a.crl", ca: web.crt, timeout: 5s}, refresh: 1h, missing: refuse}
    limits: {crl_size: 64KiB, crl_entries: 10, ca_bundle_size: 64KiB}
target_groups:
  - {name: app, targets: ["127.0.0.1:1"]}
`

// A pkiServer has what authorities publish, until a test says otherwise.
type pkiServer struct {
	*httptest.Server
	url string

	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
	hangs map[string]chan struct{} // until it is closed
}

// hang lets requests for a file wait until the function is called.
func (s *pkiServer) hang(t *testing.T, name string) (end func()) {
	until := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs["/"+name] = until
	end = sync.OnceFunc(func() { close(until) })
	t.Cleanup(end)
	return end
}

func newPKIServer(t *testing.T, certificate tls.Certificate) *pkiServer {
	t.Helper()
	s := &pkiServer{files: map[string][]byte{}, asked: map[string]int{}, hangs: map[string]chan struct{}{}}
	s.Server = httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		data, ok := s.files[r.URL.Path]
		hangs := s.hangs[r.URL.Path]
		s.mu.Unlock()
		if hangs != nil {
			select {
			case <-hangs:
			case <-r.Context().Done():
			}
		}
		if !ok {
			nethttp.NotFound(w, r)
			return
		}
		nethttp.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	s.url = "https://localhost:" + port
	return s
}

// put replaces a file; nil takes it away.
func (s *pkiServer) put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files["/"+name] = data; data == nil {
		delete(s.files, "/"+name)
	}
}

// A fetchRig is a directory with a configuration that fetches.
type fetchRig struct {
	*files
	web *pkiServer
}

func newFetchRig(t *testing.T) *fetchRig {
	f := newFiles(t)
	r := &fetchRig{f, newPKIServer(t, f.server.TLS())}
	f.write("web.crt", f.web.PEM())
	r.web.put("ca.pem", f.root.PEM())
	r.web.put("a.crl", f.root.CRL(testpki.CRLNumber(5)))
	r.config(fetchedConfig)
	return r
}

func (r *fetchRig) config(text string) {
	r.write("countersign.yaml", []byte(strings.ReplaceAll(text, "WEB", r.web.url)))
}

// start returns a rig with what is configured in force, which follows changes.
func (r *fetchRig) start() *rig {
	r.t.Helper()
	running := newRigOn(r.t, r.files)
	if err := running.publisher.Publish(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	running.run()
	return running
}

// revoked reports whether the list in force has the certificate.
func revoked(t *testing.T, r *rig, cert *testpki.Certificate) bool {
	t.Helper()
	policy := r.node.Current().Listener("devices").Policies.For("")
	_, denial := policy.Admit(cert.Chain(), time.Now(), nil)
	return denial != nil
}

func TestWhatIsFetchedComesIntoForce(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	r := f.start()
	if revoked(t, r, device) {
		t.Fatal("the device is refused from the beginning")
	}
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6), testpki.Revoke(device)))
	r.again <- struct{}{}
	r.program.wait(t, `because="a source changed"`, 1)
	if !revoked(t, r, device) {
		t.Error("the device is on the list that was fetched, and is admitted")
	}
	if good, bad := r.reloads(); good != 3 || bad != 0 { // at first, asked to, the source
		t.Errorf("%d and %d publications are counted as good and bad, want 3 and 0", good, bad)
	}
	for _, name := range []string{"ca.pem", "a.crl"} {
		spec := publish.Fetched(configured(r))[index(name)]
		state, err := source.Look(f.path("data"), spec.Spec)
		if err != nil || state.Copy == nil || state.Fault != "" {
			t.Errorf("%s is not kept: %+v, %v", name, state, err)
		}
		state.Copy.Close()
	}
	err := filepath.WalkDir(f.path("data"), func(path string, d os.DirEntry, err error) error {
		info, err := d.Info()
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func index(name string) int { return map[string]int{"ca.pem": 0, "a.crl": 1}[name] }

func configured(r *rig) *config.Config {
	cfg, _ := config.Load(r.path("countersign.yaml"))
	return cfg
}

// Whatever a source has that is of no use: what was in force stays, and what
// else changes comes into force all the same.
func TestWhatIsFetchedAndOfNoUseChangesNothing(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(5), testpki.Revoke(device)))
	r := f.start()
	for i, tc := range []struct {
		name, want string
		data       []byte
	}{
		{"an older list", "is older than the one in force", f.root.CRL(testpki.CRLNumber(4))},
		{"garbage", "malformed DER", []byte("0\x03\x02\x01\x01")},
		{"a certificate", `a \"CERTIFICATE\" block`, f.root.PEM()},
		{"a list of another authority of that name", "is not signed by the key of", testpki.NewRoot(t, "Fleet Root", keyID(f.root)).CRL(testpki.CRLNumber(99))},
		{"a list of another authority altogether", "no list in the place of", testpki.NewRoot(t, "Other Root").CRL(testpki.CRLNumber(99))},
		{"a list that is cut off", "the revocation list is cut off", half(f.root.CRL(testpki.CRLNumber(99)))},
		{"PEM that is cut off", "END X509 CRL", half(testpki.CRLPEM(f.root.CRL(testpki.CRLNumber(99))))},
		{"a list that was changed on the way", "is not signed by the key of", changed(f.root.CRL(testpki.CRLNumber(99)))},
		{"a list of the future", "in the future", f.root.CRL(testpki.CRLNumber(99), testpki.CRLValid(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)))},
		{"the same list twice", "is there twice", twice(f.root.CRL(testpki.CRLNumber(99)))},
		{"a list with too many entries", "more than 10 revoked certificates", f.root.CRL(testpki.CRLNumber(99), entries(11))},
		{"a list that is too large", "it is larger than 65536 bytes", bytes.Repeat([]byte{0x30}, 65537)},
		{"a page", "sends an HTML page", []byte("<html>")},
		{"nothing at all", "404 Not Found", nil},
	} {
		before := strings.Count(r.program.wait(t, "", 0), tc.want)
		f.web.put("a.crl", tc.data)
		r.again <- struct{}{}
		text := r.program.wait(t, tc.want, before+1)
		if n := strings.Count(text, `because="a source changed"`); n != i {
			t.Errorf("%s: %d changes of sources are in force, want %d:\n%s", tc.name, n, i, text)
		}
		if !revoked(t, r, device) {
			t.Errorf("%s: the device is admitted", tc.name)
		}
		if strings.Contains(text, refused) {
			t.Errorf("%s: the configuration was refused:\n%s", tc.name, text)
		}
		// Good again in between, so that each fault is a change of state.
		f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(int64(10+i)), testpki.Revoke(device)))
		r.again <- struct{}{}
		r.program.wait(t, "as it should be again", i+1)
		r.program.wait(t, `because="a source changed"`, i+1)
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

func twice(list []byte) []byte { return testpki.CRLPEM(list, list) }

// changed has another bit in the signature.
func changed(list []byte) []byte {
	list[len(list)-1] ^= 1
	return list
}

func entries(n int64) testpki.CRLOption {
	return func(l *x509.RevocationList) {
		for i := range n {
			testpki.RevokeSerial(big.NewInt(1000+i), 0)(l)
		}
	}
}

func keyID(c *testpki.Certificate) testpki.Option {
	return testpki.Template(func(t *x509.Certificate) { t.SubjectKeyId = c.X509.SubjectKeyId })
}

// A bundle with a new authority, and the first list of that authority, arrive in
// either order or together.
func TestABundleAndAListThatGoTogether(t *testing.T) {
	f := newFetchRig(t)
	r := f.start()
	next := testpki.NewRoot(t, "Next Root")
	device := next.Client("MacID-2")
	if !revoked(t, r, device) {
		t.Fatal("a device of an unknown authority is admitted")
	}
	f.web.put("a.crl", testpki.CRLPEM(f.root.CRL(testpki.CRLNumber(6)), next.CRL()))
	f.web.put("ca.pem", append(f.root.PEM(), next.PEM()...))
	r.again <- struct{}{}
	r.program.wait(t, `because="a source changed"`, 1)
	for deadline := time.Now().Add(patience); revoked(t, r, device); {
		if time.Now().After(deadline) {
			t.Fatal("the device of the next authority is refused")
		}
		r.again <- struct{}{}
	}
}

// A start without network enforces what was good before, and says so.
func TestAStartWithoutNetworkEnforcesWhatIsKept(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(7), testpki.Revoke(device)))
	f.start().close()
	f.web.Close()
	r := f.start()
	if !revoked(t, r, device) {
		t.Error("the device is admitted")
	}
	if text := r.program.wait(t, "a source cannot be fetched; its last good copy stays in force", 2); !strings.Contains(text, "copy_of=20") {
		t.Errorf("the log does not say of when the copy is:\n%s", text)
	}
	draft, faults := publish.Read(t.Context(), r.path("countersign.yaml"), publish.Options{}, nil)
	if draft == nil || len(faults) != 2 || !faults[0].Warning || !strings.Contains(faults[0].String(), "which cannot be fetched") {
		t.Errorf("a check finds %v", faults)
	}
}

// Without network and without a copy nothing can be enforced: nothing starts.
func TestAStartWithoutNetworkAndWithoutCopyIsRefused(t *testing.T) {
	f := newFetchRig(t)
	f.web.Close()
	r := newRigOn(t, f.files)
	err := r.publisher.Publish(t.Context())
	if err == nil || !strings.Contains(err.Error(), "trust_stores[0].revocation.crls[0]: found "+f.web.url+"/a.crl, which cannot be fetched") ||
		r.node.Current() != nil {
		t.Errorf("the error is %v", err)
	}
	if _, faults := publish.Read(t.Context(), r.path("countersign.yaml"), publish.Options{}, nil); faults.Err() == nil {
		t.Error("a check approves of it")
	}
}

// Whoever waits for a start learns for what it waits.
func TestAStartSaysForWhatItWaits(t *testing.T) {
	f := newFetchRig(t)
	end := f.web.hang(t, "a.crl")
	defer end()
	r := newRigOn(t, f.files)
	started := make(chan error, 1)
	go func() { started <- r.publisher.Publish(t.Context()) }()
	said := r.program.wait(t, "nothing is served before what is fetched for the first time has come", 1)
	if !strings.Contains(said, f.web.url+"/a.crl") {
		t.Errorf("it does not say that it is the list:\n%s", said)
	}
	end()
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// A data_dir that cannot be used is one fault among others, said once, and hides
// none; what would have been fetched is not missed then.
func TestADataDirThatCannotBeUsedHidesNoOtherFault(t *testing.T) {
	const file = ":1:30: node.data_dir: found file, which is a file, expected a directory; name another one; it is made if it is not there"
	for name, c := range map[string]struct {
		edit, want []string
	}{
		"alone": {nil, []string{file}},
		"below a file": {[]string{"data_dir: file", "data_dir: file/data"}, []string{
			":1:30: node.data_dir: found file/data, which cannot be used (not a directory), expected a directory of which this program is the owner; " +
				"name another one, or give it to the user that the program runs as"}},
		"with others in files": {[]string{"key: server.key", "key: missing.key", "node:", "logs: {access: {path: .}}\nnode:"}, []string{
			":1:23: logs.access.path: found ., which is a directory, expected a file; add the name of the file: NAME.log",
			strings.Replace(file, ":1:", ":2:", 1),
			":7:44: listeners[0].certificates[0].key: found missing.key, which cannot be read (no such file or directory), expected a readable file"}},
		"with others in the configuration": {[]string{"mode: verify", "mode: verfy"}, []string{
			file,
			`:7:25: listeners[0].client_auth.mode: found "verfy", expected off, passthrough, optional, verify or proxied; did you mean verify?`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetchRig(t)
			f.write("file", nil)
			f.config(with(with(fetchedConfig, "data_dir: data", "data_dir: file"), c.edit...))
			r := newRigOn(t, f.files)
			err := r.publisher.Publish(t.Context())
			if err == nil {
				t.Fatal("it starts")
			}
			relative := strings.NewReplacer(f.path("countersign.yaml"), "", f.dir+"/", "", f.dir, ".")
			if got, want := relative.Replace(err.Error()), strings.Join(c.want, "\n"); got != want {
				t.Errorf("it says\n%s\nwant\n%s", got, want)
			}
			if said := r.program.String(); said != "" {
				t.Errorf("the log says beside the faults:\n%s", said)
			}
		})
	}
}

// The number of a list does not go back across a restart either; what is kept
// serves in the place of what is older, or of no use.
func TestAListMayNotGoBackAcrossARestart(t *testing.T) {
	for name, data := range map[string]func(f *fetchRig) []byte{
		"an older list": func(f *fetchRig) []byte { return f.root.CRL(testpki.CRLNumber(6)) },
		"garbage":       func(*fetchRig) []byte { return []byte("hello\n") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetchRig(t)
			device := f.root.Client("MacID-1")
			f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(7), testpki.Revoke(device)))
			f.start().close()
			f.web.put("a.crl", data(f))
			r := f.start()
			if !revoked(t, r, device) {
				t.Error("the device is admitted")
			}
			r.program.wait(t, "what a source has now is refused", 1)
		})
	}
}

// A copy that was damaged, or that others may write to, is none.
func TestADamagedCopyIsNotUsed(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut off":            func(path string) error { return os.Truncate(path, 400) },
		"empty":              func(path string) error { return os.Truncate(path, 0) },
		"writable by others": func(path string) error { return os.Chmod(path, 0o622) },
		"changed": func(path string) error {
			data, err := os.ReadFile(path)
			data[len(data)-1] ^= 1
			return cmpOr(err, os.WriteFile(path, data, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetchRig(t)
			f.start().close()
			f.web.Close()
			copies, _ := filepath.Glob(f.path("data/sources/*.copy"))
			if len(copies) != 2 {
				t.Fatalf("copies: %v", copies)
			}
			for _, path := range copies {
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
			}
			r := newRigOn(t, f.files)
			if err := r.publisher.Publish(t.Context()); err == nil {
				t.Error("it is in force")
			}
			r.program.wait(t, "a kept copy is of no use", 2)
		})
	}
}

func cmpOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// A configuration whose source cannot be had comes into force when it can:
// nobody has to touch it again.
func TestASourceThatWasMissingIsPickedUpWhenItComes(t *testing.T) {
	f := newFetchRig(t)
	r := f.start()
	r.config(strings.ReplaceAll(with(fetchedConfig, `crls: {url: "WEB/a.crl", ca: web.crt, timeout: 5s}`,
		`crls: [{url: "WEB/a.crl", ca: web.crt, timeout: 5s}, {url: "WEB/more.crl", ca: web.crt}]`), "WEB", f.web.url))
	r.program.wait(t, refused, 1)
	f.web.put("more.crl", testpki.NewRoot(t, "Fleet Issuing CA").CRL())
	r.program.wait(t, inForce, 1)
}

// What is fetched is asked for as often as refresh says, with a question that
// costs nothing when there is nothing new.
func TestSourcesAreAskedForAgain(t *testing.T) {
	f := newFetchRig(t)
	f.config(strings.ReplaceAll(fetchedConfig, "1h", "1s"))
	r := f.start()
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6)))
	r.program.wait(t, `because="a source changed"`, 1)
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(7)))
	r.program.wait(t, `because="a source changed"`, 2)
}

// As a list comes near its end it is asked for, however seldom refresh is.
func TestAListIsAskedForBeforeItEnds(t *testing.T) {
	f := newFetchRig(t)
	now := time.Now()
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(5), testpki.CRLValid(now.Add(-time.Hour), now.Add(3*time.Second))))
	r := f.start()
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6)))
	r.program.wait(t, `because="a source changed"`, 1)
	if left := time.Until(now.Add(3 * time.Second)); left < 0 {
		t.Logf("the list was over %v ago", -left)
	}
}

func TestMetricsTellOfSources(t *testing.T) {
	f := newFetchRig(t)
	r := f.start()
	f.web.put("a.crl", nil)
	r.again <- struct{}{}
	r.program.wait(t, "a source cannot be fetched", 1)
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`countersign_source_good{source="` + f.web.url + `/ca.pem"} 1`, `countersign_source_good{source="` + f.web.url + `/a.crl"} 0`,
		`countersign_source_failures_total{source="` + f.web.url + `/ca.pem"} 0`, `countersign_source_failures_total{source="` + f.web.url + `/a.crl"} `,
		`countersign_source_age_seconds{source="` + f.web.url + `/a.crl"} `,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// A look at a configuration leaves nothing behind.
func TestACheckWritesNothing(t *testing.T) {
	f := newFetchRig(t)
	draft, faults := publish.Read(context.Background(), f.path("countersign.yaml"), publish.Options{}, nil)
	if draft == nil || len(faults) > 0 {
		t.Fatal(faults)
	}
	if _, err := os.Stat(f.path("data")); !os.IsNotExist(err) {
		t.Errorf("there is a data directory: %v", err)
	}
}

// The same of a bundle: who was accepted still is, and nobody else.
func TestABundleOfNoUseChangesNothing(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	r := f.start()
	other := testpki.NewRoot(t, "Other Root")
	leaf := other.Client("MacID-9")
	large := append(f.root.PEM(), bytes.Repeat([]byte("# nothing\n"), 10_000)...)
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"cut off", half(f.root.PEM())},
		{"a certificate and a half", append(other.PEM(), half(f.root.PEM())...)},
		{"garbage", []byte("0\x03\x02\x01\x01")},
		{"a list", testpki.CRLPEM(f.root.CRL())},
		{"no authority", append(f.root.PEM(), leaf.PEM()...)},
		{"a private key", append(f.root.PEM(), f.root.KeyPEM()...)},
		{"the same authority twice", append(f.root.PEM(), f.root.PEM()...)},
		{"a page", []byte("<html>")},
		{"too large", large},
		{"gone", nil},
	} {
		const said = "its last good copy stays in force"
		before := strings.Count(r.program.wait(t, "", 0), said)
		f.web.put("ca.pem", tc.data)
		r.again <- struct{}{}
		r.program.wait(t, said, before+1)
		if revoked(t, r, device) {
			t.Errorf("%s: the device is refused", tc.name)
		}
		if !revoked(t, r, leaf) {
			t.Errorf("%s: a stranger is admitted", tc.name)
		}
		before = strings.Count(r.program.wait(t, "", 0), "as it should be again")
		f.web.put("ca.pem", f.root.PEM())
		r.again <- struct{}{}
		r.program.wait(t, "as it should be again", before+1)
	}
}
