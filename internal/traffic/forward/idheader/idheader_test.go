package idheader_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
	"github.com/google/go-cmp/cmp"
)

// A field is one rendered header.
type field struct{ name, value string }

// render compiles c and returns the fields for client.
func render(t testing.TB, c idheader.Config, client identify.Client, conn idheader.Connection) []field {
	t.Helper()
	plan, err := idheader.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	out, denial := plan.Render(nil, client, conn)
	if denial != nil {
		t.Fatal(denial)
	}
	return split(t, out)
}

// split cuts rendered fields apart and fails on whatever is no header.
func split(t testing.TB, out []byte) []field {
	t.Helper()
	var fields []field
	for len(out) > 0 {
		line, rest, ok := bytes.Cut(out, []byte("\r\n"))
		name, value, colon := strings.Cut(string(line), ": ")
		if !ok || !colon {
			t.Fatalf("no header line: %q", out)
		}
		for i := range len(line) {
			if line[i] < 0x20 || line[i] > 0x7e {
				t.Fatalf("byte %#02x in %q", line[i], line)
			}
		}
		fields = append(fields, field{name, value})
		out = rest
	}
	return fields
}

func value(t testing.TB, fields []field, name string) string {
	t.Helper()
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		t.Fatalf("no header %s in %v", name, fields)
	}
	return fields[i].value
}

// A pki is a root, an intermediate below it, a store that trusts the root.
type pki struct {
	root, mid *testpki.Certificate
	store     *verify.Store
}

func newPKI(t testing.TB) pki {
	t.Helper()
	root := testpki.NewRoot(t, "Fleet Root")
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		t.Fatal(err)
	}
	return pki{root, root.Intermediate("Fleet Issuing CA"), store}
}

func (p pki) verified(t testing.TB, chain []*x509.Certificate) identify.Client {
	t.Helper()
	c, denial := p.store.Verify(chain, verify.Options{})
	if denial != nil {
		t.Fatal(denial)
	}
	return identified(t, c)
}

func shown(t testing.TB, chain []*x509.Certificate) identify.Client {
	t.Helper()
	c, denial := verify.Unverified(chain)
	if denial != nil {
		t.Fatal(denial)
	}
	return identified(t, c)
}

func identified(t testing.TB, c verify.Chain) identify.Client {
	t.Helper()
	client, denial := identify.From(c)
	if denial != nil {
		t.Fatal(denial)
	}
	return client
}

// name replaces the subject by units and a common name, as UTF8Strings with
// whatever they hold, each its own RDN.
func name(t testing.TB, cn string, ou ...string) testpki.Option {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type rdnSET []attribute // encoding/asn1 encodes a type named ...SET as a SET
	var rdns []rdnSET
	for _, u := range ou {
		rdns = append(rdns, rdnSET{{asn1.ObjectIdentifier{2, 5, 4, 11}, u}})
	}
	der, err := asn1.Marshal(append(rdns, rdnSET{{asn1.ObjectIdentifier{2, 5, 4, 3}, cn}}))
	if err != nil {
		t.Fatal(err)
	}
	return testpki.RawSubject(der)
}

func only(d ...idheader.Dialect) idheader.Config { return idheader.Config{Dialects: d} }

func TestAWS(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("client_.com", testpki.Serial("3a5b1"),
		testpki.Valid(time.Date(2023, 9, 21, 1, 50, 17, 0, time.UTC), time.Date(2043, 9, 20, 1, 50, 17, 0, time.UTC)))
	// alb.md 1.3, from the leaf's PEM alone.
	escaped := func(certs ...*x509.Certificate) string {
		return strings.NewReplacer(" ", "%20", "\n", "%0A").Replace(string(testpki.PEM(certs...)))
	}
	t.Run("verified", func(t *testing.T) {
		got := render(t, only(idheader.AWS), p.verified(t, leaf.Chain()), idheader.Connection{})
		want := []field{
			{"X-Amzn-Mtls-Clientcert-Serial-Number", "03A5B1"},
			{"X-Amzn-Mtls-Clientcert-Issuer", "CN=Fleet Issuing CA"},
			{"X-Amzn-Mtls-Clientcert-Subject", "CN=client_.com"},
			{"X-Amzn-Mtls-Clientcert-Validity", "NotBefore=2023-09-21T01:50:17Z;NotAfter=2043-09-20T01:50:17Z"},
			{"X-Amzn-Mtls-Clientcert-Leaf", escaped(leaf.X509)},
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
			t.Error(diff)
		}
		if v := value(t, got, "X-Amzn-Mtls-Clientcert-Leaf"); !strings.HasPrefix(v, "-----BEGIN%20CERTIFICATE-----%0AMII") || !strings.HasSuffix(v, "%0A-----END%20CERTIFICATE-----%0A") {
			t.Error(v)
		}
	})
	t.Run("passed through", func(t *testing.T) {
		chain := append(leaf.Chain(), p.root.X509)
		got := render(t, only(idheader.AWS), shown(t, chain), idheader.Connection{})
		want := []field{{"X-Amzn-Mtls-Clientcert", escaped(chain...)}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNginx(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("device", testpki.Serial("3a5b1"),
		testpki.Valid(time.Date(2023, 9, 1, 1, 50, 17, 0, time.UTC), time.Date(2043, 12, 20, 1, 50, 17, 0, time.UTC)))
	sum := sha1.Sum(leaf.X509.Raw)
	escaped := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D", " ", "%20", "\n", "%0A").Replace(string(leaf.PEM()))
	got := render(t, only(idheader.Nginx), p.verified(t, leaf.Chain()), idheader.Connection{})
	want := []field{
		{"X-SSL-Client-Verify", "SUCCESS"},
		{"X-SSL-Client-S-DN", "CN=device"},
		{"X-SSL-Client-I-DN", "CN=Fleet Issuing CA"},
		{"X-SSL-Client-Serial", "03A5B1"},
		{"X-SSL-Client-V-Start", "Sep  1 01:50:17 2023 GMT"},
		{"X-SSL-Client-V-End", "Dec 20 01:50:17 2043 GMT"},
		{"X-SSL-Client-Fingerprint", hex.EncodeToString(sum[:])},
		{"X-SSL-Client-Escaped-Cert", escaped},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
		t.Error(diff)
	}
}

func TestNginxVerify(t *testing.T) {
	p := newPKI(t)
	leaf := p.root.Client("device")
	good, through := p.verified(t, leaf.Chain()), shown(t, leaf.Chain())
	for _, tt := range []struct {
		label  string
		client identify.Client
		want   string
	}{
		{"verified", good, "SUCCESS"},
		{"anonymous", identify.Anonymous(), "NONE"},
		{"passed through", through, "FAILED:unable to verify the first certificate"},
	} {
		t.Run(tt.label, func(t *testing.T) {
			config := idheader.Config{Dialects: idheader.Dialects(), Set: []idheader.Header{{Name: "X-V", Value: "{verify}"}, {Name: "X-S", Value: "{subject}"}}}
			got := render(t, config, tt.client, idheader.Connection{})
			if v := value(t, got, "X-SSL-Client-Verify"); v != tt.want {
				t.Errorf("got %s, want %s", v, tt.want)
			}
			if v := value(t, got, "X-V"); v != tt.want {
				t.Errorf("{verify}: got %s, want %s", v, tt.want)
			}
		})
	}
}

// RFC 9440 section 2.2 and 2.3; Client-Cert-Chain never without Client-Cert.
func TestRFC9440(t *testing.T) {
	p := newPKI(t)
	stranger := testpki.NewRoot(t, "Stranger")
	leaf := p.mid.Client("device")
	bytesOf := func(c *testpki.Certificate) string {
		return ":" + base64.StdEncoding.EncodeToString(c.X509.Raw) + ":"
	}
	direct := p.root.Client("direct")
	tests := map[string]struct {
		client identify.Client
		want   []field
	}{
		"chain, verified": {p.verified(t, append(leaf.Chain(), p.root.X509)), []field{{"Client-Cert", bytesOf(leaf)}, {"Client-Cert-Chain", bytesOf(p.mid) + ", " + bytesOf(p.root)}}},
		"leaf alone":      {p.verified(t, direct.Chain()), []field{{"Client-Cert", bytesOf(direct)}}},
		"what is not on the path is not vouched for": {p.verified(t, append(leaf.Chain(), stranger.X509)), []field{{"Client-Cert", bytesOf(leaf)}, {"Client-Cert-Chain", bytesOf(p.mid)}}},
		"all of it when passed through":              {shown(t, append(leaf.Chain(), stranger.X509)), []field{{"Client-Cert", bytesOf(leaf)}, {"Client-Cert-Chain", bytesOf(p.mid) + ", " + bytesOf(stranger)}}},
	}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			got := render(t, only(idheader.RFC9440), tt.client, idheader.Connection{})
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(field{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestXFCC(t *testing.T) {
	p := newPKI(t)
	cert := func(certs ...*x509.Certificate) string {
		return strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D", " ", "%20", "\n", "%0A").Replace(string(testpki.PEM(certs...)))
	}
	start := func(c *testpki.Certificate) string {
		sum := sha256.Sum256(c.X509.Raw)
		return "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + cert(c.X509) + `"`
	}
	t.Run("Envoy's order", func(t *testing.T) {
		leaf := p.mid.Client("", name(t, "Test Client", "Lyft"), testpki.URI("http://testclient.lyft.com"), testpki.DNS("lyft.com", "www.lyft.com"))
		got := value(t, render(t, only(idheader.XFCC), p.verified(t, leaf.Chain()), idheader.Connection{}), "X-Forwarded-Client-Cert")
		want := start(leaf) + `;Subject="CN=Test Client,OU=Lyft";URI=http://testclient.lyft.com;DNS=lyft.com;DNS=www.lyft.com`
		if got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
	t.Run("unverified", func(t *testing.T) {
		leaf := p.mid.Client("x", testpki.URI("spiffe://a/b"))
		got := value(t, render(t, only(idheader.XFCC), shown(t, leaf.Chain()), idheader.Connection{}), "X-Forwarded-Client-Cert")
		if want := start(leaf) + `;Chain="` + cert(leaf.Chain()...) + `"`; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
	for label, tt := range map[string]struct{ subject, want string }{
		"comma, as Envoy":          {"Acme, Inc.", `CN=Acme\, Inc.`},
		"quote":                    {`a"b`, `CN=a\22b`},
		"backslash":                {`a\`, `CN=a\5C`},
		"backslash and quote":      {`a\"`, `CN=a\5C\22`},
		"peers 3.C tgies #229":     {`x";Cert="evil`, `CN=x\22\3BCert\3D\22evil`},
		"a name within the value":  {`x,CN=admin`, `CN=x\,CN\3Dadmin`},
		"a value within the value": {`x+CN=admin`, `CN=x\+CN\3Dadmin`},
		"UTF-8":                    {`Zoë=1`, `CN=Zo\C3\AB\3D1`},
	} {
		t.Run(label, func(t *testing.T) {
			leaf := p.root.Client("", name(t, tt.subject))
			got := value(t, render(t, only(idheader.XFCC), p.verified(t, leaf.Chain()), idheader.Connection{}), "X-Forwarded-Client-Cert")
			if want := start(leaf) + `;Subject="` + tt.want + `";URI=`; got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
	t.Run("SAN that needs quotes", func(t *testing.T) {
		leaf := p.root.Client("x", testpki.URI("https://a/?b=c;d,e"), testpki.DNS("my device"))
		got := value(t, render(t, only(idheader.XFCC), p.verified(t, leaf.Chain()), idheader.Connection{}), "X-Forwarded-Client-Cert")
		if want := start(leaf) + `;Subject="CN=x";URI="https://a/?b=c;d,e";DNS="my device"`; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestTraefik(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("", name(t, `x",Issuer="CN=y;z%`, "Acme"), testpki.Serial("ff"), testpki.DNS("a.example"), testpki.Email("a@example.com"),
		testpki.IP("192.0.2.1"), testpki.URI("spiffe://a/b"), testpki.Valid(time.Unix(1700000000, 0), time.Unix(2700000000, 0)))
	b64 := func(c *testpki.Certificate) string { return base64.StdEncoding.EncodeToString(c.X509.Raw) }
	got := render(t, only(idheader.Traefik), p.verified(t, leaf.Chain()), idheader.Connection{})
	if v := value(t, got, "X-Forwarded-Tls-Client-Cert"); v != b64(leaf)+","+b64(p.mid) {
		t.Error(v)
	}
	info, err := url.QueryUnescape(value(t, got, "X-Forwarded-Tls-Client-Cert-Info"))
	if err != nil {
		t.Fatal(err)
	}
	want := `Subject="OU=Acme,CN=x%22%2CIssuer=%22CN=y%3Bz%25";Issuer="CN=Fleet Issuing CA";SerialNumber="255";NB="1700000000";NA="2700000000";` +
		`SAN="a.example,a@example.com,192.0.2.1,spiffe://a/b",Subject="CN=Fleet Issuing CA";Issuer="CN=Fleet Root";`
	if !strings.HasPrefix(info, want) {
		t.Errorf("got %s\nwant %s ...", info, want)
	}
	got = render(t, only(idheader.Traefik), shown(t, leaf.Chain()), idheader.Connection{})
	if len(got) != 1 || got[0].name != "X-Forwarded-Tls-Client-Cert" {
		t.Errorf("passed through: %v", got)
	}
}

func TestOwnHeaders(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("", name(t, "MacID-AA:BB:CC:DD:EE:FF", "ops", "Zoë, \"x\"\r\nX-Evil: 1"), testpki.Serial("3a5b1"), testpki.DNS("a.example", "b.example"),
		testpki.URI("spiffe://ops/a,b%2C"), testpki.Valid(time.Date(2023, 9, 21, 1, 50, 17, 0, time.UTC), time.Date(2043, 9, 20, 1, 50, 17, 0, time.UTC)))
	plain := p.mid.Client("", name(t, "trailing space "))
	sum := sha256.Sum256(leaf.X509.Raw)
	conn := idheader.Connection{TLSVersion: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256", ServerName: "a\r\nb.example"}
	good, through := p.verified(t, leaf.Chain()), shown(t, leaf.Chain())
	for _, tt := range []struct {
		client      identify.Client
		value, want string // "" when there must be no such header
	}{
		{good, "{subject}", `CN=MacID-AA:BB:CC:DD:EE:FF,OU=Zo\C3\AB\, \"x\"\0D\0AX-Evil: 1,OU=ops`},
		{good, "{issuer}", `CN=Fleet Issuing CA`},
		{good, "{serial}", `03A5B1`},
		{good, "sha256:{fingerprint}", "sha256:" + hex.EncodeToString(sum[:])},
		{good, "{cn}", "MacID-AA:BB:CC:DD:EE:FF"},
		{good, "{ou}", "ops,Zo%C3%AB%2C %22x%22%0D%0AX-Evil: 1"},
		{good, "{san_dns}", "a.example,b.example"},
		{good, "{san_uri}", "spiffe://ops/a%2Cb%252C"},
		{good, "{not_before}/{not_after}", "2023-09-21T01:50:17Z/2043-09-20T01:50:17Z"},
		{good, "{{{cn}}} {verify}", "{MacID-AA:BB:CC:DD:EE:FF} SUCCESS"},
		{good, "{server_name} {tls_version} {tls_cipher}", "a%0D%0Ab.example TLSv1.3 TLS_AES_128_GCM_SHA256"},
		{good, "constant", "constant"},
		{p.verified(t, plain.Chain()), "{subject}", `CN=trailing space\20`},
		{p.verified(t, plain.Chain()), "{cn}", `trailing space%20`},
		{p.verified(t, plain.Chain()), "{san_dns}", ""},
		{through, "{subject}", ""},
		{through, "{fingerprint}", ""},
		{through, "{verify} {not_after}", ""},
		{through, "{verify}", "FAILED:unable to verify the first certificate"},
		{identify.Anonymous(), "who: {cn}", ""},
		{identify.Anonymous(), "{verify}", "NONE"},
		{identify.Anonymous(), "{tls_version}", "TLSv1.3"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			got := render(t, idheader.Config{Set: []idheader.Header{{Name: "X-Client-Info", Value: tt.value}}}, tt.client, conn)
			if tt.want == "" {
				if len(got) != 0 {
					t.Errorf("got %v, want nothing", got)
				}
				return
			}
			if v := value(t, got, "X-Client-Info"); v != tt.want {
				t.Errorf("got %s, want %s", v, tt.want)
			}
		})
	}
}

// T23: never dropped silently.
func TestTooLargeIsDenied(t *testing.T) {
	p := newPKI(t)
	client := p.verified(t, p.mid.Client("device").Chain())
	for label, tt := range map[string]struct {
		limits idheader.Limits
		want   string // in the reason; "" when it fits
	}{
		"defaults":   {idheader.Limits{}, ""},
		"one header": {idheader.Limits{Header: 300}, "X-Amzn-Mtls-Clientcert-Leaf would be"},
		"all":        {idheader.Limits{Headers: 300}, "identity headers would be"},
	} {
		t.Run(label, func(t *testing.T) {
			plan, err := idheader.Compile(idheader.Config{Dialects: []idheader.Dialect{idheader.AWS}, Limits: tt.limits})
			if err != nil {
				t.Fatal(err)
			}
			out, denial := plan.Render([]byte("Host: a\r\n"), client, idheader.Connection{})
			if tt.want == "" {
				if denial != nil || len(out) < 800 {
					t.Errorf("%d bytes, %v", len(out), denial)
				}
				return
			}
			if denial == nil || denial.Code != countersign.IdentityTooLarge || !strings.Contains(denial.Reason, tt.want) || !strings.Contains(denial.Reason, "300") {
				t.Errorf("got %v, want IdentityTooLarge with %q and 300", denial, tt.want)
			}
			if string(out) != "Host: a\r\n" {
				t.Errorf("rendered in part: %q", out)
			}
		})
	}
	t.Run("exactly at the limits", func(t *testing.T) {
		set := []idheader.Header{{Name: "X-A", Value: "12345"}}
		for _, tt := range []struct {
			limits idheader.Limits
			fits   bool
		}{{idheader.Limits{Header: 10, Headers: 12}, true}, {idheader.Limits{Header: 9}, false}, {idheader.Limits{Headers: 11}, false}} {
			plan, err := idheader.Compile(idheader.Config{Set: set, Limits: tt.limits})
			if err != nil {
				t.Fatal(err)
			}
			if _, denial := plan.Render(nil, client, idheader.Connection{}); (denial == nil) != tt.fits {
				t.Errorf("%+v: %v", tt.limits, denial)
			}
		}
	})
}

func TestRenderRefusesNobody(t *testing.T) {
	plan, err := idheader.Compile(only(idheader.AWS))
	if err != nil {
		t.Fatal(err)
	}
	if out, denial := plan.Render(nil, identify.Client{}, idheader.Connection{}); denial == nil || denial.Code != countersign.CredentialNotProven || out != nil {
		t.Errorf("the zero Client got %q, %v", out, denial)
	}
	var none *idheader.Plan
	if out, denial := none.Render(nil, identify.Anonymous(), idheader.Connection{}); denial != nil || out != nil {
		t.Errorf("no plan got %q, %v", out, denial)
	}
	if !none.Strips([]byte("client-cert")) || none.Strips([]byte("accept")) {
		t.Error("no plan strips otherwise than every plan")
	}
}

func TestCompileFaults(t *testing.T) {
	set := func(name, value string) idheader.Config {
		return idheader.Config{Set: []idheader.Header{{Name: name, Value: value}}}
	}
	for label, tt := range map[string]struct {
		config idheader.Config
		want   []string
	}{
		"unknown dialect":        {only("ngnix"), []string{`"ngnix": want one of aws, nginx, rfc9440, xfcc, traefik`}},
		"dialect twice":          {only("aws", "aws"), []string{"aws is listed twice"}},
		"negative limit":         {idheader.Config{Limits: idheader.Limits{Header: -1}}, []string{"limits -1 and 0"}},
		"no name":                {set("", "x"), []string{"no name"}},
		"no token":               {set("X Client", "x"), []string{"character ' '"}},
		"line feed in name":      {set("X-A\r\nX-B", "x"), []string{`character '\r'`}},
		"framing":                {set("Content_Length", "{cn}"), []string{"HTTP itself"}},
		"forwarded":              {set("X-Forwarded-For", "{cn}"), []string{"forwarded setting"}},
		"empty":                  {set("X-A", " "), []string{"value is empty"}},
		"white space":            {set("X-A", " {cn}"), []string{"begins or ends with white space"}},
		"unknown placeholder":    {set("X-A", "{sbject}"), []string{"unknown placeholder {sbject}: want one of {subject} {issuer}", "{tls_cipher}"}},
		"open brace":             {set("X-A", "a{cn"), []string{`"{" without "}"`}},
		"close brace":            {set("X-A", "a}b"), []string{`"}" without "{"`}},
		"control":                {set("X-A", "a\nb"), []string{`character '\n' at position 2`}},
		"no ASCII":               {set("X-A", "é"), []string{"character 'é'"}},
		"sets a dialect's field": {idheader.Config{Dialects: []idheader.Dialect{"nginx"}, Set: []idheader.Header{{Name: "x_ssl_client_s.dn", Value: "{cn}"}}}, []string{"dialect nginx sets it already"}},
		"sets a field twice":     {idheader.Config{Set: []idheader.Header{{Name: "X-A", Value: "1"}, {Name: "x_a", Value: "2"}}}, []string{"header X-A sets it already"}},
		"all at once":            {idheader.Config{Dialects: []idheader.Dialect{"a", "b"}, Set: []idheader.Header{{Name: "Host", Value: "{x}}"}}}, []string{`"a"`, `"b"`, "HTTP itself", "{x}", `"}" without`}},
	} {
		t.Run(label, func(t *testing.T) {
			plan, err := idheader.Compile(tt.config)
			if err == nil || plan != nil {
				t.Fatalf("compiled: %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nhas no %s", err, want)
				}
			}
		})
	}
	if _, err := idheader.Compile(set("X-SSL-Client-S-DN", "{subject}")); err != nil {
		t.Errorf("a dialect's field where the dialect is not in use: %v", err)
	}
}

// A client may have no subject, with its names elsewhere (RFC 5280 section 4.1.2.6).
func TestEmptySubject(t *testing.T) {
	p := newPKI(t)
	leaf := p.root.Client("", testpki.Subject(pkix.Name{}), testpki.URI("spiffe://a/b"))
	got := render(t, everything(), p.verified(t, leaf.Chain()), idheader.Connection{})
	for header, want := range map[string]string{"X-Amzn-Mtls-Clientcert-Subject": "", "X-SSL-Client-Verify": "SUCCESS", "X-Own-san_uri": "spiffe://a/b"} {
		if v := value(t, got, header); v != want {
			t.Errorf("%s: got %q, want %q", header, v, want)
		}
	}
	for _, f := range got {
		if f.value == "" && f.name != "X-Amzn-Mtls-Clientcert-Subject" || f.name == "X-Own-subject" {
			t.Errorf("%s: %q", f.name, f.value)
		}
	}
}

// decodePEM returns the certificates of an escaped PEM chain.
func decodePEM(t testing.TB, escaped string) []byte {
	t.Helper()
	text, err := url.PathUnescape(escaped)
	if err != nil {
		t.Fatal(err)
	}
	var der []byte
	rest := []byte(text)
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("no PEM: %q", rest)
		}
		der = append(der, block.Bytes...)
	}
	return der
}
