package handshake

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// TestModes holds every mode against every kind of client, in both versions.
func TestModes(t *testing.T) {
	w := newWorld(t)
	fleet := store(t, "fleet", verify.Config{}, w.root)
	clients := []struct {
		name   string
		cert   *testpki.Certificate
		verify countersign.Code // where the certificate is verified
	}{
		{"none", nil, countersign.ClientCertMissing},
		{"good", w.root.Client("device"), ""},
		{"good below an intermediate", w.root.Intermediate("Issuing").Client("device"), ""},
		{"good RSA", w.root.Client("device", testpki.Key(testpki.RSA2048)), ""},
		{"good P-521", w.root.Client("device", testpki.Key(testpki.P521)), ""},
		{"expired", w.root.Client("device", testpki.Expired()), countersign.ClientCertExpired},
		{"not yet valid", w.root.Client("device", testpki.NotYetValid()), countersign.ClientCertNotYetValid},
		{"another CA's", w.other.Client("device"), countersign.ClientCertUntrusted},
		{"self-signed", testpki.NewSelfSigned(t, "device"), countersign.ClientCertUntrusted},
		{"a server's", w.root.Server("device.example"), countersign.ClientCertPurposeInvalid},
	}
	for _, mode := range []countersign.ClientAuthMode{"off", "passthrough", "optional", "verify"} {
		for _, onFailure := range []countersign.OnFailure{"close", "respond"} {
			p := &Policy{Name: "p", Mode: mode, OnFailure: onFailure, Resumption: true}
			if mode == "optional" || mode == "verify" {
				p.Store = fleet
			}
			r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Keys: NewTicketKeys(TicketKeysConfig{})}))
			for _, c := range clients {
				for _, v := range versions {
					t.Run(fmt.Sprintf("%s/%s/%s/%s", mode, onFailure, c.name, tls.VersionName(v)), func(t *testing.T) {
						want := c.verify
						if p.Store == nil || mode == "optional" && c.cert == nil {
							want = ""
						}
						state, err, out := r.connect(at(w.client("api.example.com", c.cert), v))
						if code(out.Denial) != want {
							t.Fatalf("denial %v, want %q", out.Denial, want)
						}
						if closed := want != "" && onFailure == "close"; out.Refused != closed || (err != nil) != closed {
							t.Errorf("refused %v, the client got %v; want closed %v", out.Refused, err, closed)
						} else if !closed && state.Version != v {
							t.Errorf("version %x, want %x", state.Version, v)
						}
						if want == countersign.ClientCertMissing && onFailure == "close" {
							alert := map[uint16]string{tls.VersionTLS12: "handshake failure", tls.VersionTLS13: "certificate required"}[v]
							if !strings.Contains(err.Error(), alert) {
								t.Errorf("the client got %v, want the alert %q", err, alert)
							}
						} else if want != "" && onFailure == "close" && !strings.Contains(err.Error(), "bad certificate") {
							t.Errorf("the client got %v, want the alert bad_certificate", err)
						}
						asked := c.cert != nil && mode != "off"
						if hasChain := asked && want == ""; out.Chain.IsZero() == hasChain || out.Chain.Verified() != (hasChain && p.Store != nil) {
							t.Errorf("chain zero %v, verified %v", out.Chain.IsZero(), out.Chain.Verified())
						}
						if asked && (len(out.Presented) == 0 || !out.Presented[0].Equal(c.cert.X509)) {
							t.Errorf("presented %d certificates, not what the client sent", len(out.Presented))
						}
						if out.Policy != p || out.ServerName != "api.example.com" || out.Latency <= 0 || !out.Refused && out.First.IsZero() {
							t.Errorf("outcome %+v", out)
						}
					})
				}
			}
		}
	}
}

// TestFaultsThatCryptoTLSFinds also holds the texts of classify against the
// crypto/tls in use: it has no types for these errors.
func TestFaultsThatCryptoTLSFinds(t *testing.T) {
	w := newWorld(t)
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
		Policies: policies(t, &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)})}))
	good := w.root.Client("device").TLS()
	replaced := func(old, new string) tls.Certificate {
		c := w.root.Client("device", testpki.Key(testpki.P256)).TLS()
		if strings.HasPrefix(old, "\x06\x03\x2b") {
			c = w.root.Client("device", testpki.Key(testpki.Ed25519)).TLS()
		}
		der := bytes.Replace(c.Certificate[0], []byte(old), []byte(new), 1)
		if bytes.Equal(der, c.Certificate[0]) {
			t.Fatalf("%x is not in the certificate", old)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.PrivateKey}
	}
	with := func(der ...[]byte) tls.Certificate {
		return tls.Certificate{Certificate: der, PrivateKey: good.PrivateKey}
	}
	for _, c := range []struct {
		name      string
		cert      tls.Certificate
		code      countersign.Code
		reason    string
		presented bool
	}{
		{"garbage", with([]byte("garbage")), countersign.ClientCertInvalid, "does not parse: x509:", false},
		{"garbage as issuer", with(good.Certificate[0], []byte("garbage")), countersign.ClientCertInvalid, "does not parse", false},
		{"unknown curve", replaced("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x06"), countersign.ClientCertTypeUnsupported, "unknown curve", false},
		{"unknown key", replaced("\x06\x03\x2b\x65\x70", "\x06\x03\x2b\x65\x71"), countersign.ClientCertTypeUnsupported, "neither RSA", true},
		{"huge RSA", with(w.root.Client("huge", testpki.PublicKey(testpki.HugeRSA(t, 16384))).X509.Raw), countersign.ClientCertTypeUnsupported, "larger than 8192", false},
		{"another's key", with(w.root.Client("other").X509.Raw), countersign.ClientCertInvalid, "does not hold the private key", true},
		{"300 KiB", with(slices.Repeat([][]byte{good.Certificate[0]}, 300<<10/len(good.Certificate[0]))...), countersign.ClientCertMaxSizeExceeded, "exceeds", false},
	} {
		for _, v := range versions {
			t.Run(c.name+"/"+tls.VersionName(v), func(t *testing.T) {
				config := at(w.client("", nil), v)
				config.ServerName, config.GetClientCertificate = "api.example.com", func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert, nil }
				_, err, out := r.connect(config)
				if err == nil || !out.Refused || !out.Chain.IsZero() {
					t.Fatalf("the client got %v, outcome %+v", err, out)
				}
				if code(out.Denial) != c.code || !strings.Contains(out.Denial.Reason, c.reason) || out.Denial.Stage != countersign.StageVerify {
					t.Errorf("denial %+v, want %s with %q", out.Denial, c.code, c.reason)
				}
				if (len(out.Presented) > 0) != c.presented {
					t.Errorf("%d certificates presented, want some: %v", len(out.Presented), c.presented)
				}
			})
		}
	}
}

func TestAuthoritiesAreNamedOnlyWhenAsked(t *testing.T) {
	w := newWorld(t)
	fleet := store(t, "fleet", verify.Config{}, w.root, w.other)
	for _, advertise := range []bool{false, true} {
		r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
			Policies: policies(t, &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: fleet, AdvertiseCANames: advertise})}))
		for _, v := range versions {
			var named [][]byte
			config := at(w.client("api.example.com", nil), v)
			cert := w.root.Client("device").TLS()
			config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				named = r.AcceptableCAs
				return &cert, nil
			}
			if _, err, _ := r.connect(config); err != nil {
				t.Fatal(err)
			}
			if !advertise && len(named) != 0 {
				t.Errorf("%x: %d authorities named without being asked to", v, len(named))
			}
			if advertise && (len(named) != 2 || !slices.ContainsFunc(named, func(b []byte) bool { return bytes.Equal(b, w.other.X509.RawSubject) })) {
				t.Errorf("%x: %d authorities named, want 2", v, len(named))
			}
		}
	}
}

// TestTheServerNamePicksThePolicy is T11 and T14 on the wire.
func TestTheServerNamePicksThePolicy(t *testing.T) {
	w := newWorld(t)
	strict := &Policy{Name: "strict", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)}
	open := &Policy{Name: "open", Mode: countersign.ClientAuthOff}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
		Policies: policies(t, open, Named{Names: []string{"*.example.com"}, Policy: strict}, Named{Names: []string{"open.example.com"}, Policy: open})}))
	for name, want := range map[string]*Policy{
		"": open, "example.com": open, "open.example.com": open, "OPEN.Example.com": open,
		"api.example.com": strict, "API.EXAMPLE.COM": strict, "a.ops.example.com": open, "192.0.2.1": open,
	} {
		for _, v := range versions {
			config := at(w.client(name, nil), v)
			config.InsecureSkipVerify = true // the server's certificate is not the matter here
			_, err, out := r.connect(config)
			if out.Policy != want || (err != nil) != (want == strict) {
				t.Errorf("%q: policy %v, the client got %v; want %s", name, out.Policy, err, want.Name)
			}
		}
	}
	for _, name := range []string{"a b.example.com", "a\x00.example.com", "a..example.com", strings.Repeat("a.", 200) + "com"} {
		for _, v := range versions {
			config := at(w.client(name, nil), v)
			config.InsecureSkipVerify = true
			_, err, out := r.connect(config)
			if code(out.Denial) != countersign.ServerNameUnknown || !out.Refused || err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("%q: %v, the client got %v", name, out.Denial, err)
			}
		}
	}
}

func TestTheServerNamePicksTheCertificate(t *testing.T) {
	w := newWorld(t)
	ca := w.server.Issuer
	made := map[string]*testpki.Certificate{
		"default":  ca.Server("default.example"),
		"exact":    ca.Server("api.example.com"),
		"wildcard": ca.Server("w.example.com", testpki.DNS("*.example.com")),
		"ecdsa":    ca.Server("both.example"),
		"rsa":      ca.Server("both.example", testpki.Key(testpki.RSA2048)),
		"rsaOnly":  ca.Server("rsa.example", testpki.Key(testpki.RSA3072)),
	}
	var certs []Certificate
	for _, name := range []string{"default", "exact", "wildcard", "rsa", "ecdsa", "rsaOnly"} {
		c, problems := LoadCertificate(testpki.PEM(made[name].Chain()...), made[name].KeyPEM())
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		certs = append(certs, c)
	}
	r := newRig(t, newServer(t, Config{Certificates: certs, Policies: policies(t, off("p"))}))
	rsaSuites := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	ecdsaSuites := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name   string
		suites []uint16 // TLS 1.2 alone has suites of one key type
		want   string
	}{
		{"", nil, "default"},
		{"unknown.example", nil, "default"},
		{"a.b.example.com", nil, "default"},
		{"api.example.com", nil, "exact"},
		{"API.Example.COM", nil, "exact"},
		{"other.example.com", nil, "wildcard"},
		{"both.example", nil, "ecdsa"},
		{"both.example", rsaSuites, "rsa"},
		{"BOTH.example", ecdsaSuites, "ecdsa"},
		{"rsa.example", nil, "rsaOnly"},
	} {
		for _, v := range versions {
			if c.suites != nil && v == tls.VersionTLS13 {
				continue
			}
			config := at(&tls.Config{InsecureSkipVerify: true, ServerName: c.name, CipherSuites: c.suites}, v)
			state, err, _ := r.connect(config)
			if err != nil {
				t.Errorf("%q: %v", c.name, err)
				continue
			}
			if got := state.PeerCertificates[0]; !got.Equal(made[c.want].X509) {
				t.Errorf("%q in %x with %x: got the certificate of %v (%v), want %s", c.name, v, c.suites, got.DNSNames, got.PublicKeyAlgorithm, c.want)
			}
		}
	}
	// Nothing fits: crypto/tls says so, and the log why.
	_, err, out := r.connect(at(&tls.Config{InsecureSkipVerify: true, ServerName: "rsa.example", CipherSuites: ecdsaSuites}, tls.VersionTLS12))
	if err == nil || code(out.Denial) != countersign.HandshakeFailed || !strings.Contains(out.Denial.Reason, "no cipher suite") {
		t.Errorf("the client got %v, denial %v", err, out.Denial)
	}
}

func TestTheChainIsTheLeafThatTheHandshakeProved(t *testing.T) {
	w := newWorld(t)
	// The first certificate decides, whatever else is in the message
	// (OpenZiti GHSA-mrpr-756c-xm47).
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
		Policies: policies(t, &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)})}))
	stranger, good := w.other.Client("stranger").TLS(), w.root.Client("device")
	stranger.Certificate = append(stranger.Certificate, good.X509.Raw)
	config := w.client("api.example.com", nil)
	config.Certificates = []tls.Certificate{stranger}
	if _, err, out := r.connect(config); err == nil || code(out.Denial) != countersign.ClientCertUntrusted {
		t.Errorf("a stranger with a device's certificate behind its own: %v, %v", err, out.Denial)
	}
	if _, err, out := r.connect(w.client("api.example.com", good)); err != nil || !out.Chain.Leaf().Equal(good.X509) {
		t.Errorf("the client got %v, outcome %+v", err, out)
	}
}
