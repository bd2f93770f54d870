package publish_test

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// goodConfig compiles without a word; the cases change words in it, or files.
const goodConfig = `listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    tls: {policy: modern}
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [aws]
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
    revocation: {crls: [crl.pem]}
target_groups:
  - {name: app, targets: ["127.0.0.1:1"]}
`

// files are what goodConfig names, in a directory of their own.
type files struct {
	t      *testing.T
	dir    string
	root   *testpki.Certificate
	web    *testpki.Certificate
	server *testpki.Certificate
}

func newFiles(t *testing.T) *files {
	f := &files{t: t, dir: t.TempDir(), root: testpki.NewRoot(t, "Fleet Root"), web: testpki.NewRoot(t, "Web Root")}
	f.server = f.web.Server("localhost")
	f.server.Write(f.dir, "server")
	f.write("ca.crt", f.root.PEM())
	f.write("crl.pem", testpki.CRLPEM(f.root.CRL()))
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

func (f *files) write(name string, data []byte) {
	f.t.Helper()
	testpki.WriteFile(f.t, f.path(name), data)
}

// compile returns the draft and the faults as they are printed, relative to the directory.
func (f *files) compile(text string) (*publish.Draft, string) {
	f.t.Helper()
	cfg, faults := config.Parse(f.path("countersign.yaml"), []byte(text), f.dir)
	if cfg == nil {
		f.t.Fatalf("not even config takes it:\n%v", faults)
	}
	draft, faults := publish.Compile(cfg, publish.Options{})
	text = strings.ReplaceAll(faults.Error(), f.dir+"/", "")
	return draft, changing.ReplaceAllString(text, "$1...")
}

// changing is what differs from run to run: serial numbers and dates.
var changing = regexp.MustCompile(`(serial |expired on |not valid before |replaced by )[0-9A-F:T. Z-]+[0-9A-FZ]`)

// with replaces words of a configuration, pairs of old and new.
func with(config string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(config, pairs[i]) {
			panic(pairs[i] + " is not in the configuration")
		}
	}
	return strings.NewReplacer(pairs...).Replace(config)
}

func TestAGoodConfigurationCompilesWithoutAWord(t *testing.T) {
	draft, faults := newFiles(t).compile(goodConfig)
	if draft == nil || faults != "" {
		t.Fatalf("faults: %s", faults)
	}
	if len(draft.Listeners) != 1 || len(draft.Stores) != 1 || len(draft.Groups) != 1 || len(draft.Expiries) != 3 {
		t.Errorf("%d listeners, %d stores, %d groups, %d expiries", len(draft.Listeners), len(draft.Stores), len(draft.Groups), len(draft.Expiries))
	}
}

// What is wrong in a file is told at the key that names the file.
func TestFaultsOfFiles(t *testing.T) {
	remove := func(name string) func(f *files) { return func(f *files) { os.Remove(f.path(name)) } }
	put := func(name string, data func(f *files) []byte) func(f *files) {
		return func(f *files) { f.write(name, data(f)) }
	}
	text := func(s string) func(*files) []byte { return func(*files) []byte { return []byte(s) } }
	for _, tc := range []struct {
		name   string
		config string // "": goodConfig
		lay    func(f *files)
		want   string
	}{
		{name: "certificate missing", lay: remove("server.crt"),
			want: "countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt, which cannot be read (no such file or directory), expected a readable file"},
		{name: "key missing", lay: remove("server.key"),
			want: "countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key, which cannot be read (no such file or directory), expected a readable file"},
		{name: "bundle missing", lay: remove("ca.crt"),
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, which cannot be read (no such file or directory), expected a readable file"},
		{name: "list missing", lay: remove("crl.pem"),
			want: "countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem, which cannot be read (no such file or directory), expected a readable file"},
		{name: "certificate empty", lay: put("server.crt", text("")),
			want: "countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt, which is empty, expected PEM text; was it written completely? replace files by rename"},
		{name: "key empty", lay: put("server.key", text("")),
			want: "countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key, which is empty, expected PEM text; was it written completely? replace files by rename"},
		{name: "bundle empty", lay: put("ca.crt", text("")),
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, which is empty, expected PEM text; was it written completely? replace files by rename"},
		{name: "bundle blank", lay: put("ca.crt", text("\n\n")),
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt: the bundle is empty, expected at least one PEM certificate of a CA"},
		{name: "list empty", lay: put("crl.pem", text("")),
			want: "countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem, which is empty, expected PEM text; was it written completely? replace files by rename"},
		{name: "certificate is a directory", lay: func(f *files) { os.Remove(f.path("server.crt")); os.Mkdir(f.path("server.crt"), 0o700) },
			want: "countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt, which is not a regular file, expected a file"},
		{name: "bundle is a named pipe", lay: func(f *files) { os.Remove(f.path("ca.crt")); syscall.Mkfifo(f.path("ca.crt"), 0o600) },
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, which is not a regular file, expected a file"},
		{name: "certificate too large", lay: put("server.crt", func(*files) []byte { return make([]byte, 1<<20+1) }),
			want: "countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt, which is larger than 1048576 bytes, expected a smaller file; is it the right one?"},
		{name: "bundle too large", lay: put("ca.crt", func(*files) []byte { return make([]byte, 16<<20+1) }),
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, which is larger than 16777216 bytes, expected a smaller file; is it the right one?"},
		{name: "list too large", lay: put("crl.pem", func(*files) []byte { return make([]byte, 1<<10+1) }),
			config: with(goodConfig, "{crls: [crl.pem]}", "{crls: [crl.pem]}\n    limits: {crl_size: 1KiB}"),
			want:   "countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem, which is larger than 1024 bytes, expected a smaller file; is it the right one?"},
		{name: "certificate is no PEM", lay: put("server.crt", text("hello\n")),
			want: `countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt: there is no certificate in it, expected at least one PEM block "CERTIFICATE"`},
		{name: "key is the certificate", lay: put("server.key", func(f *files) []byte { return f.server.PEM() }),
			want: `countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key: there is no private key in it, expected one PEM block "PRIVATE KEY"; it holds a certificate: cert and key may have been swapped`},
		{name: "key of another certificate", lay: put("server.key", func(f *files) []byte { return f.web.Server("other").KeyPEM() }),
			want: `countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key: the private key does not belong to the certificate, expected the private key of "CN=localhost"`},
		{name: "key encrypted", lay: put("server.key", func(*files) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
		}),
			want: "countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key, line 1: the private key is encrypted, expected a key without passphrase, readable by this program alone; openssl pkey -in FILE -out FILE.plain"},
		{name: "bundle with a private key", lay: put("ca.crt", func(f *files) []byte { return append(f.root.PEM(), f.root.KeyPEM()...) }),
			want: `countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, line 11: a private key ("PRIVATE KEY") is in the bundle, expected certificates alone; take it out, and treat it as disclosed if this file went anywhere`},
		{name: "bundle with a certificate twice", lay: put("ca.crt", func(f *files) []byte { return append(f.root.PEM(), f.root.PEM()...) }),
			want: "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, line 11: the certificate is the one of line 1 again, expected each certificate once; remove one of them"},
		{name: "a certificate in two bundles", lay: put("more.crt", func(f *files) []byte { return f.root.PEM() }),
			config: with(goodConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt, more.crt]"),
			want:   `countersign.yaml:11:5: trust_stores[0]: found trust store "fleet": the CA certificate "CN=Fleet Root" (serial ..., issued by "CN=Fleet Root") is there twice; remove one of them`},
		{name: "bundle with a leaf", lay: put("ca.crt", func(f *files) []byte { return f.root.Client("MacID-1").PEM() }),
			want: `countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, line 1: "CN=MacID-1" is no CA certificate, expected basic constraints with CA:TRUE; put the certificate of the CA that issued it here instead`},
		{name: "bundle with more than the limit", lay: put("ca.crt", func(f *files) []byte {
			return append(f.root.PEM(), testpki.NewRoot(f.t, "Another Root").PEM()...)
		}),
			config: with(goodConfig, "{crls: [crl.pem]}", "{crls: [crl.pem]}\n    limits: {ca_certificates: 1}"),
			want:   "countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt: the bundle has 2 CA certificates, expected at most 1; spread them over several trust stores, or raise the limit"},
		{name: "list is a certificate", lay: put("crl.pem", func(f *files) []byte { return f.root.PEM() }),
			want: `countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem:1: a "CERTIFICATE" block; want X509 CRL blocks alone`},
		{name: "list is garbage", lay: put("crl.pem", text("\x30\x03\x02\x01\x01")),
			want: "countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem: not a revocation list: malformed DER"},
		{name: "list signed by another CA of that name", lay: put("crl.pem", func(f *files) []byte {
			sameID := testpki.Template(func(c *x509.Certificate) { c.SubjectKeyId = f.root.X509.SubjectKeyId })
			return testpki.CRLPEM(testpki.NewRoot(f.t, "Fleet Root", sameID).CRL())
		}),
			want: `countersign.yaml:11:5: trust_stores[0]: found trust store "fleet": list number 1 of "CN=Fleet Root" (crl.pem) is not signed by the key of "CN=Fleet Root" (serial ..., issued by "CN=Fleet Root"): the file is damaged, forged, or of another CA with the same name; get it again from the CA`},
		{name: "list twice", lay: put("more.pem", func(f *files) []byte { data, _ := os.ReadFile(f.path("crl.pem")); return data }),
			config: with(goodConfig, "crls: [crl.pem]", "crls: [crl.pem, more.pem]"),
			want:   `countersign.yaml:11:5: trust_stores[0]: found trust store "fleet": list number 1 of "CN=Fleet Root" (more.pem) is there twice (crl.pem); remove one of them`},
		{name: "list with more entries than the limit", lay: put("crl.pem", func(f *files) []byte {
			return testpki.CRLPEM(f.root.CRL(testpki.Revoke(f.root.Client("1"), f.root.Client("2"))))
		}),
			config: with(goodConfig, "{crls: [crl.pem]}", "{crls: [crl.pem]}\n    limits: {crl_entries: 1}"),
			want:   "countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem, which has more than 1 revoked certificates, expected at most 1; limits.crl_entries of the trust store allows more"},
		{name: "TLS policy unknown", lay: func(*files) {}, config: with(goodConfig, "policy: modern", "policy: moden"),
			want: `countersign.yaml:6:19: listeners[0].tls.policy: found TLS policy "moden": want modern, tls13 or a name that begins with ELBSecurityPolicy-`},
		{name: "own header is a dialect's", lay: func(*files) {},
			config: with(goodConfig, "[aws]", `[aws, {set: x_amzn_mtls_clientcert_subject, value: "{subject}"}]`),
			want:   "countersign.yaml:8:5: listeners[0].identity_headers: found identity header x_amzn_mtls_clientcert_subject: dialect aws sets it already; backends that fold case and punctuation would see two"},
		{name: "placeholder unknown", lay: func(*files) {},
			config: with(goodConfig, "[aws]", `[{set: X-Client, value: "{sbject}"}, {set: X-Other, value: "{"}]`),
			want: lines(
				`countersign.yaml:8:5: listeners[0].identity_headers: found identity header "X-Client": value "{sbject}": unknown placeholder {sbject}: want one of {subject} {issuer} {serial} {fingerprint} {cn} {ou} {san_dns} {san_uri} {not_before} {not_after} {vouched_by} {verify} {server_name} {tls_version} {tls_cipher} {auth_subject} {auth_type} {auth_credential}`,
				`countersign.yaml:8:5: listeners[0].identity_headers: found identity header "X-Other": value "{": a "{" without "}": write "{{" for a brace`,
			)},
		{name: "everything at once", lay: func(f *files) {
			remove("server.crt")(f)
			remove("server.key")(f)
			put("ca.crt", text("hello\n"))(f)
			remove("crl.pem")(f)
		},
			config: with(goodConfig, "policy: modern", "policy: moden", "[aws]", `[{set: X-Client, value: "{sbject}"}]`),
			want: lines(
				"countersign.yaml:5:27: listeners[0].certificates[0].cert: found server.crt, which cannot be read (no such file or directory), expected a readable file",
				"countersign.yaml:5:44: listeners[0].certificates[0].key: found server.key, which cannot be read (no such file or directory), expected a readable file",
				`countersign.yaml:6:19: listeners[0].tls.policy: found TLS policy "moden": want modern, tls13 or a name that begins with ELBSecurityPolicy-`,
				`countersign.yaml:8:5: listeners[0].identity_headers: found identity header "X-Client": value "{sbject}": unknown placeholder {sbject}: want one of {subject} {issuer} {serial} {fingerprint} {cn} {ou} {san_dns} {san_uri} {not_before} {not_after} {vouched_by} {verify} {server_name} {tls_version} {tls_cipher} {auth_subject} {auth_type} {auth_credential}`,
				`countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt, line 1: line 1 is no PEM: "hello", expected PEM certificates and comments alone; remove it, or begin each such line with #`,
				"countersign.yaml:12:17: trust_stores[0].ca_bundle[0]: found ca.crt: there is no PEM block in the bundle, expected at least one PEM certificate of a CA",
				"countersign.yaml:13:25: trust_stores[0].revocation.crls[0]: found crl.pem, which cannot be read (no such file or directory), expected a readable file",
			)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFiles(t)
			tc.lay(f)
			draft, got := f.compile(cmp.Or(tc.config, goodConfig))
			if draft != nil {
				t.Error("it compiles")
			}
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Errorf("faults (- wanted, + got):\n%s", diff)
			}
		})
	}
}

// Targets are checked in the protocol that they speak.
func TestTargetGroupsOfEveryProtocol(t *testing.T) {
	for _, tc := range []struct {
		group, protocol string
		want            *health.Config
	}{
		{`health_check: {interval: 2s}`, "http", &health.Config{Protocol: "http", Path: "/", Matcher: "200-399"}},
		{`protocol: h2, health_check: {interval: 2s, matcher: "200,300-399"}`, "h2", &health.Config{Protocol: "http", HTTP2: true, Path: "/", Matcher: "200,300-399"}},
		{`protocol: h2, health_check: {interval: 2s, protocol: tcp}`, "h2", &health.Config{Protocol: "tcp"}},
		{`protocol: grpc, health_check: {interval: 2s}`, "grpc", &health.Config{Protocol: "grpc", Path: health.StandardService, Matcher: "0"}},
		{`protocol: grpc, health_check: {interval: 2s, path: /AWS.ALB/healthcheck, matcher: 12}`, "grpc", &health.Config{Protocol: "grpc", Path: "/AWS.ALB/healthcheck", Matcher: "12"}},
		{`protocol: grpc, health_check: {interval: 2s, protocol: http, path: /healthz}`, "grpc", &health.Config{Protocol: "http", HTTP2: true, Path: "/healthz", Matcher: "200-399"}},
		{`protocol: grpc`, "grpc", nil},
	} {
		draft, faults := newFiles(t).compile(with(goodConfig, `targets: ["127.0.0.1:1"]`, `targets: ["127.0.0.1:1"], `+tc.group))
		if draft == nil || faults != "" {
			t.Errorf("%s: %s", tc.group, faults)
			continue
		}
		if tc.want != nil {
			tc.want.Interval, tc.want.Timeout, tc.want.Healthy, tc.want.Unhealthy = 2*time.Second, 2*time.Second, 2, 2
		}
		got := draft.Groups[0]
		if diff := gocmp.Diff(tc.want, got.Health); diff != "" || got.Protocol != tc.protocol {
			t.Errorf("%s: protocol %q, health check (- wanted, + got):\n%s", tc.group, got.Protocol, diff)
		}
	}
}

// What is doubtful, but keeps nobody from being served, is said; it compiles.
func TestWarningsOfFiles(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config string // "": goodConfig
		lay    func(f *files)
		want   string
	}{
		{name: "server certificate expired", lay: func(f *files) { f.web.Server("localhost", testpki.Expired()).Write(f.dir, "server") },
			want: `countersign.yaml:5:27: warning: listeners[0].certificates[0].cert: found server.crt: "CN=localhost" expired on ...; renew it`},
		{name: "server certificate not valid yet", lay: func(f *files) { f.web.Server("localhost", testpki.NotYetValid()).Write(f.dir, "server") },
			want: `countersign.yaml:5:27: warning: listeners[0].certificates[0].cert: found server.crt: "CN=localhost" is not valid before ...; check the clock`},
		{name: "authority expired", lay: func(f *files) {
			f.write("ca.crt", append(f.root.PEM(), testpki.NewRoot(f.t, "Old Root", testpki.Expired()).PEM()...))
		},
			want: `countersign.yaml:12:17: warning: trust_stores[0].ca_bundle[0]: found ca.crt, line 11: "CN=Old Root" expired on ...; clients below it are refused until it is replaced`},
		{name: "everybody can read the key", lay: func(f *files) { os.Chmod(f.path("server.key"), 0o644) },
			want: "countersign.yaml:5:44: warning: listeners[0].certificates[0].key: found server.key, which every user of this machine can read (mode 0644), expected mode 0600; chmod 600 server.key"},
		{name: "list stale", lay: func(f *files) {
			f.write("crl.pem", f.root.CRL(testpki.CRLValid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))))
		},
			want: `countersign.yaml:11:5: warning: trust_stores[0]: found list number 1 of "CN=Fleet Root" (crl.pem) should have been replaced by ...; clients of this issuer are refused until there is a newer one`},
		{name: "list of a stranger", lay: func(f *files) { f.write("crl.pem", testpki.NewRoot(f.t, "Another Root").CRL()) },
			want: `countersign.yaml:11:5: warning: trust_stores[0]: found list number 1 of "CN=Another Root" (crl.pem) is of no CA in the trust store; it counts only for clients that present an intermediate certificate of exactly that name and key`},
		{name: "blank line in a bundle", lay: func(f *files) { f.write("ca.crt", append([]byte("\n"), f.root.PEM()...)) },
			want: "countersign.yaml:12:17: warning: trust_stores[0].ca_bundle[0]: found ca.crt, line 1: line 1 is blank; AWS refuses bundles with blank lines: remove them if the same file shall serve there"},
		{name: "AWS policy with what Go cannot do", lay: func(*files) {}, config: with(goodConfig, "policy: modern", "policy: ELBSecurityPolicy-TLS13-1-2-2021-06"),
			want: "countersign.yaml:6:19: warning: listeners[0].tls.policy: found ELBSecurityPolicy-TLS13-1-2-2021-06: Cipher suites with AES-CBC and SHA-256 or SHA-384 are not offered: crypto/tls has the first without protection against timing attacks, the second not at all."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFiles(t)
			tc.lay(f)
			draft, got := f.compile(cmp.Or(tc.config, goodConfig))
			if draft == nil {
				t.Error("it does not compile")
			}
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Errorf("warnings (- wanted, + got):\n%s", diff)
			}
		})
	}
}

func lines(s ...string) string { return strings.Join(s, "\n") }
