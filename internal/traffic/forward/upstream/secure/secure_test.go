package secure_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

func serving(c *testpki.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS()}}
}

func roots(all ...*testpki.Certificate) (out []*x509.Certificate) {
	for _, c := range all {
		out = append(out, c.X509)
	}
	return out
}

func pin(c *testpki.Certificate) [32]byte { return sha256.Sum256(c.X509.RawSubjectPublicKeyInfo) }

func TestATargetThatProvesItselfIsReached(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	middle := root.Intermediate("Middle")
	for name, c := range map[string]struct {
		shows  *testpki.Certificate
		called string
		cfg    secure.Config
	}{
		"by its host name":              {root.Server("api.internal"), "api.internal", secure.Config{}},
		"by its address":                {root.Server("10.1.2.3"), "10.1.2.3", secure.Config{}},
		"by its IPv6 address":           {root.Server("fd00::5"), "fd00::5", secure.Config{}},
		"by server_name":                {root.Server("api.internal"), "10.1.2.3", secure.Config{ServerName: "api.internal"}},
		"by a wildcard":                 {root.Server("*.internal"), "api.internal", secure.Config{}},
		"through an intermediate":       {middle.Server("api.internal"), "api.internal", secure.Config{}},
		"by the pin of its key":         {root.Server("pinned.internal"), "pinned.internal", secure.Config{}},
		"by the pin of an intermediate": {middle.Server("pinned.internal"), "pinned.internal", secure.Config{Pins: [][32]byte{{1}, pin(middle)}}},
		"not on any list": {middle.Server("api.internal"), "api.internal", secure.Config{CRLs: lists(t,
			root.CRL(testpki.Revoke(root.Server("other"))), middle.CRL(testpki.Revoke(middle.Server("other"))))}},
		"unverified": {testpki.NewSelfSigned(t, "whoever", testpki.Expired()), "api.internal", secure.Config{Unverified: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if !c.cfg.Unverified {
				c.cfg.Roots = roots(root)
			}
			if name == "by the pin of its key" {
				c.cfg.Pins = [][32]byte{pin(c.shows)}
			}
			conn, err := connect(t, client(t, c.cfg), target(t, serving(c.shows), echo), c.called)
			if err != nil {
				t.Fatal(err)
			}
			if err := says(conn); err != nil {
				t.Error(err)
			}
			if until := conn.GoodUntil(); !c.cfg.Unverified && (until.IsZero() || until.After(c.shows.X509.NotAfter)) {
				t.Errorf("good until %v, the certificate ends %v", until, c.shows.X509.NotAfter)
			}
		})
	}
}

func TestATargetThatDoesNotProveItselfIsRefusedAndSaysWhy(t *testing.T) {
	root, other := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Other")
	middle := root.Intermediate("Middle")
	good := root.Server("api.internal")
	leaf := middle.Server("api.internal")
	long := time.Now().Add(-48 * time.Hour)
	for name, c := range map[string]struct {
		shows *testpki.Certificate
		cfg   secure.Config
		code  countersign.Code
		words []string
	}{
		"of another authority":    {other.Server("api.internal"), secure.Config{}, countersign.TargetCertUntrusted, []string{"Other", "tls.ca_bundle", "add the authority"}},
		"self-signed":             {testpki.NewSelfSigned(t, "api.internal", testpki.EKU(x509.ExtKeyUsageServerAuth), testpki.DNS("api.internal")), secure.Config{}, countersign.TargetCertUntrusted, nil},
		"a forged authority":      {testpki.NewRoot(t, "Root").Server("api.internal"), secure.Config{}, countersign.TargetCertUntrusted, nil},
		"for another name":        {root.Server("web.internal"), secure.Config{}, countersign.TargetCertNameMismatch, []string{`"web.internal"`, "want api.internal", "tls.server_name"}},
		"for no name":             {root.Server("api.internal", testpki.DNS()), secure.Config{}, countersign.TargetCertNameMismatch, []string{"no name at all"}},
		"the name as a URI":       {root.Server("x", testpki.DNS(), testpki.URI("https://api.internal/")), secure.Config{}, countersign.TargetCertNameMismatch, nil},
		"not the server_name":     {good, secure.Config{ServerName: "db.internal"}, countersign.TargetCertNameMismatch, []string{"want db.internal"}},
		"expired":                 {root.Server("api.internal", testpki.Expired()), secure.Config{}, countersign.TargetCertExpired, []string{"expired on", "renew it"}},
		"of an expired authority": {root.Intermediate("Old", testpki.Expired()).Server("api.internal"), secure.Config{}, countersign.TargetCertExpired, []string{"Old"}},
		"not valid yet":           {root.Server("api.internal", testpki.NotYetValid()), secure.Config{}, countersign.TargetCertNotYetValid, []string{"not valid before"}},
		"for clients":             {root.Server("api.internal", testpki.EKU(x509.ExtKeyUsageClientAuth)), secure.Config{}, countersign.TargetCertInvalid, []string{"serverAuth"}},
		"below a leaf":            {root.Server("ca.internal", testpki.IsCA(false)).Server("api.internal"), secure.Config{}, countersign.TargetCertUntrusted, nil},
		"not pinned":              {good, secure.Config{Pins: [][32]byte{pin(leaf)}}, countersign.TargetCertPinMismatch, []string{secure.Pin(good.X509), "tls.pins"}},
		"revoked":                 {good, secure.Config{CRLs: lists(t, root.CRL(testpki.Revoke(good)))}, countersign.TargetCertCrlHit, []string{"was revoked on", "tls.crls"}},
		"its authority revoked":   {leaf, secure.Config{CRLs: lists(t, root.CRL(testpki.Revoke(middle)))}, countersign.TargetCertCrlHit, []string{"Middle"}},
		"by an old list":          {good, secure.Config{CRLs: lists(t, root.CRL(testpki.CRLValid(long, long.Add(time.Hour))))}, countersign.TargetCertCrlProcessingError, []string{"should have been replaced", "get the list anew"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Roots = roots(root)
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				cfg := serving(c.shows)
				cfg.MaxVersion = version
				_, err := connect(t, client(t, c.cfg), target(t, cfg, echo), "api.internal")
				denied(t, err, c.code, append(c.words, "target api.internal:")...)
			}
		})
	}
}

// CVE-2026-27586 was a bundle that could not be read and so trusted everybody.
func TestABundleWithoutAnAuthorityIsRefused(t *testing.T) {
	if _, err := secure.New(secure.Config{Roots: []*x509.Certificate{}}); err == nil {
		t.Error("a Client that trusts nobody, or everybody, was made")
	}
	for _, cfg := range []secure.Config{
		{Roots: roots(testpki.NewRoot(t, "Root"))}, {ServerName: "x"}, {Pins: [][32]byte{{}}}, {CRLs: lists(t, testpki.NewRoot(t, "Root").CRL())},
	} {
		cfg.Unverified = true
		if _, err := secure.New(cfg); err == nil {
			t.Errorf("%+v: to verify and not to verify was taken for a wish", cfg)
		}
	}
}

// requiring asks for a certificate of root's.
func requiring(server *testpki.Certificate, root *testpki.Certificate, version uint16) *tls.Config {
	cfg := serving(server)
	cfg.ClientAuth, cfg.ClientCAs, cfg.MaxVersion = tls.RequireAndVerifyClientCert, root.Pool(), version
	return cfg
}

func TestOurCertificateIsShown(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	own := root.Client("gateway").TLS()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		seen := make(chan string, 1)
		address := target(t, requiring(root.Server("api.internal"), root, version), func(c *tls.Conn) {
			seen <- c.ConnectionState().PeerCertificates[0].Subject.CommonName
			echo(c)
		})
		conn, err := connect(t, client(t, secure.Config{Roots: roots(root), Certificate: &own}), address, "api.internal")
		if err != nil {
			t.Fatal(err)
		}
		if err := says(conn); err != nil {
			t.Fatal(err)
		}
		if cn := <-seen; cn != "gateway" {
			t.Errorf("the target saw %q", cn)
		}
	}
}

// In TLS 1.3 the client is done first: the refusal comes with the first read.
func TestATargetThatRefusesOurCertificateIsUnderstood(t *testing.T) {
	root, other := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Other")
	stranger, old := other.Client("gateway").TLS(), root.Client("gateway", testpki.Expired()).TLS()
	for name, c := range map[string]struct {
		own   *tls.Certificate
		words []string
	}{
		"of an authority it does not know": {&stranger, []string{"refused our certificate", "Other", "gateway", "tls.certificate"}},
		"expired":                          {&old, []string{"refused our certificate"}},
		"none":                             {nil, []string{"asks for a client certificate", "set tls.certificate"}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				address := target(t, requiring(root.Server("api.internal"), root, version), echo)
				conn, err := connect(t, client(t, secure.Config{Roots: roots(root), Certificate: c.own}), address, "api.internal")
				if version == tls.VersionTLS13 {
					if err != nil {
						t.Fatal(err)
					}
					told := make(chan *countersign.Denial, 1)
					conn.OnRefusal = func(d *countersign.Denial) { told <- d }
					err = says(conn)
					if len(told) != 1 {
						t.Error("nobody was told of the refusal")
					}
				}
				denied(t, err, countersign.TargetRefusedCertificate, append(c.words, "alert ")...)
			})
		}
	}
}

// Each of the alerts is known by the text that crypto/tls has for it.
func TestAlertsAreNamedAsRFC8446Does(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	own := root.Client("gateway").TLS()
	for number, name := range map[byte]string{
		42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
		46: "certificate_unknown", 48: "unknown_ca", 49: "access_denied", 116: "certificate_required",
	} {
		address := plain(t, func(c net.Conn) {
			c.Read(make([]byte, 1)) // the beginning of the ClientHello
			c.Write([]byte{21, 3, 3, 0, 2, 2, number})
		})
		_, err := connect(t, client(t, secure.Config{Roots: roots(root), Certificate: &own}), address, "api.internal")
		denied(t, err, countersign.TargetRefusedCertificate, "alert "+name)
	}
}

func TestAHandshakeThatFailsSaysWhatTheTargetDid(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	wordless := func(c net.Conn) {
		c.Read(make([]byte, 1))
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		words []string
	}{
		"closes":         {wordless, []string{"closed the connection during the TLS handshake"}},
		"is without TLS": {func(c net.Conn) { c.Read(make([]byte, 1)); io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, []string{"does not speak TLS", "HTTP/"}},
		"speaks before (CVE-2026-1642)": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			io.Copy(io.Discard, c)
		}, []string{"does not speak TLS"}},
		"has another alert": {func(c net.Conn) { c.Read(make([]byte, 1)); c.Write([]byte{21, 3, 3, 0, 2, 2, 80}) }, []string{"internal error"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, client(t, secure.Config{Roots: roots(root)}), plain(t, c.serve), "api.internal")
			denied(t, err, countersign.TargetHandshakeFailed, c.words...)
		})
	}
}

func TestATargetMustChooseTheProtocolThatIsDemanded(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	for name, c := range map[string]struct {
		offers []string
		words  string
		refuse bool
	}{
		"h2":      {[]string{"h2", "http/1.1"}, "", false},
		"none":    {nil, "chose no protocol", true},
		"another": {[]string{"http/1.1"}, "no_application_protocol", true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serving(root.Server("api.internal"))
			cfg.NextProtos = c.offers
			_, err := connect(t, client(t, secure.Config{Roots: roots(root), Protocols: []string{"h2"}, Demanded: true}), target(t, cfg, echo), "api.internal")
			if !c.refuse {
				if err != nil {
					t.Error(err)
				}
				return
			}
			denied(t, err, countersign.TargetProtocolMismatch, c.words, "want h2")
		})
	}
}

// A session is used again, with that target, under those settings, and for as
// long as its certificate is good.
func TestSessionsAreTakenUpAgainAndNeverCross(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	server := root.Server("api.internal")
	address := target(t, serving(server), echo)
	now := time.Now()
	cfg := secure.Config{Roots: roots(root), Now: func() time.Time { return now }}
	c := client(t, cfg)
	resumed := func(c *secure.Client) bool {
		t.Helper()
		conn, err := connect(t, c, address, "api.internal")
		if err != nil {
			t.Fatal(err)
		}
		if err := says(conn); err != nil { // the ticket comes with it
			t.Fatal(err)
		}
		conn.Close()
		return conn.ConnectionState().DidResume
	}
	if resumed(c) {
		t.Error("the first connection resumed something")
	}
	if !resumed(c) {
		t.Error("the second one did not take the session up again")
	}
	own := root.Client("gateway").TLS()
	for name, other := range map[string]secure.Config{
		"another certificate of ours": {Certificate: &own, Roots: cfg.Roots},
		"other lists":                 {Roots: cfg.Roots, CRLs: lists(t, root.CRL())},
		"another name":                {Roots: cfg.Roots, ServerName: "api.internal"},
		"pins":                        {Roots: cfg.Roots, Pins: [][32]byte{pin(server)}},
	} {
		otherClient := client(t, other)
		if c.Same(otherClient) {
			t.Errorf("%s: taken for the same settings", name)
		}
		if resumed(otherClient) {
			t.Errorf("%s: a session crossed over", name)
		}
	}
	if !c.Same(client(t, cfg)) {
		t.Error("the same settings are taken for others")
	}
	now = server.X509.NotAfter.Add(time.Second)
	_, err := connect(t, c, address, "api.internal")
	denied(t, err, countersign.TargetCertExpired)
}

// Whoever sends its handshake byte for byte is understood all the same.
func TestAHandshakeThatComesInPiecesIsPutTogether(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	cfg := serving(root.Server("api.internal"))
	address := plain(t, func(raw net.Conn) {
		conn := tls.Server(dripping{raw}, cfg)
		if conn.HandshakeContext(t.Context()) == nil {
			echo(conn)
		}
	})
	conn, err := connect(t, client(t, secure.Config{Roots: roots(root)}), address, "api.internal")
	if err != nil {
		t.Fatal(err)
	}
	if err := says(conn); err != nil {
		t.Error(err)
	}
}

type dripping struct{ net.Conn }

func (d dripping) Write(p []byte) (int, error) {
	d.Conn.(*net.TCPConn).SetNoDelay(true)
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestListsThatHelpNobodyAreWarnedOf(t *testing.T) {
	c := client(t, secure.Config{Roots: roots(testpki.NewRoot(t, "Root")), CRLs: lists(t, testpki.NewRoot(t, "Other").CRL())})
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "no CA") {
		t.Errorf("warnings: %q", w)
	}
}
