package proxyproto

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	pires "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

var everything = Plan{Version: 2, Fields: SSL | ClientCert | Authority | ALPN | UniqueID | CRC32C}

func told() *Connection {
	return &Connection{
		Source: netip.MustParseAddrPort("192.0.2.1:4242"), Destination: netip.MustParseAddrPort("198.51.100.2:443"),
		ALPN: "h2", Authority: "api.example.com", UniqueID: "TID_1",
		TLS: &TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519", SigAlg: "RSA-SHA256", KeyAlg: "RSA2048", SigScheme: "rsa_pss_rsae_sha256",
			Presented: true, Verified: true, CommonName: "MacID-1", Certificate: []byte{0x30, 0}},
	}
}

func TestWhatIsWrittenIsReadAsItWasMeant(t *testing.T) {
	for name, ends := range map[string][2]string{
		"IPv4":  {"192.0.2.1:4242", "198.51.100.2:443"},
		"IPv6":  {"[2001:db8::1]:4242", "[2001:db8::2]:443"},
		"mixed": {"[2001:db8::1]:4242", "198.51.100.2:443"},
	} {
		for _, plan := range []Plan{{Version: 1}, {Version: 2}, everything} {
			c := told()
			c.Source, c.Destination = netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
			b, err := plan.Header(c)
			if err != nil {
				t.Fatal(name, plan, err)
			}
			h, err := Parse(b)
			if err != nil || h.Version != plan.Version || h.Source != c.Source || h.Destination != c.Destination || h.Local {
				t.Errorf("%s, %+v: %+v, %v", name, plan, h, err)
			}
			if plan == everything && (h.Authority() != "api.example.com" || string(h.UniqueID()) != "TID_1" || h.value(TypeCRC32C) == nil || string(h.value(TypeALPN)) != "h2") {
				t.Errorf("%s: %+v", name, h)
			}
			if plan.Fields == 0 && len(h.TLVs) > 0 {
				t.Errorf("%s, %+v: %+v", name, plan, h.TLVs)
			}
		}
	}
}

// The bits and the result of section 2.2.6.
func TestWhatIsToldOfTheClientsCertificate(t *testing.T) {
	for name, c := range map[string]struct {
		tls    TLS
		client uint8
		verify uint32
	}{
		"none":                         {TLS{}, 1, 1},
		"none, resumed":                {TLS{Resumed: true}, 1, 1},
		"verified":                     {TLS{Presented: true, Verified: true}, 7, 0},
		"verified, resumed":            {TLS{Presented: true, Verified: true, Resumed: true}, 5, 0},
		"passed through":               {TLS{Presented: true}, 7, 1},
		"verified without being there": {TLS{Verified: true}, 1, 1},
	} {
		tlv, err := c.tls.tlv(true)
		if err != nil {
			t.Fatal(err)
		}
		if tlv.Value[0] != c.client || !bytes.Equal(tlv.Value[1:5], []byte{0, 0, 0, byte(c.verify)}) {
			t.Errorf("%s: % x, want client %d and verify %d", name, tlv.Value, c.client, c.verify)
		}
	}
}

func TestTheFieldsOfTLSAreThoseOfTheProtocol(t *testing.T) {
	b, err := everything.Header(told())
	if err != nil {
		t.Fatal(err)
	}
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	ssl, err := tlvparse.SSL(pires.TLV{Type: pires.PP2_TYPE_SSL, Value: h.value(TypeSSL)})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[pires.PP2Type]string{0x21: "TLSv1.3", 0x22: "MacID-1", 0x23: "TLS_AES_128_GCM_SHA256", 0x24: "RSA-SHA256",
		0x25: "RSA2048", 0x26: "X25519", 0x28: "\x30\x00"} {
		got := ""
		for _, sub := range ssl.TLV {
			if sub.Type == kind {
				got = string(sub.Value)
			}
		}
		if got != want {
			t.Errorf("%#x: %q, want %q", kind, got, want)
		}
	}
	b, _ = Plan{Version: 2, Fields: SSL}.Header(told())
	if bytes.Contains(b, []byte{0x28, 0, 2, 0x30, 0}) {
		t.Error("the certificate is told though it is not asked for")
	}
}

func TestAHealthCheckSpeaksForItself(t *testing.T) {
	for version := 1; version <= 2; version++ {
		if h, err := Parse(Plan{Version: version}.Local()); err != nil || !h.Local || h.Version != version {
			t.Errorf("version %d: %+v, %v", version, h, err)
		}
	}
	if b := (Plan{}).Local(); b != nil {
		t.Errorf("no header is %q", b)
	}
}

func TestWhatDoesNotFitIsNotWritten(t *testing.T) {
	c := told()
	c.TLS.Certificate = make([]byte, 1<<16)
	if b, err := everything.Header(c); err == nil {
		t.Errorf("%d bytes", len(b))
	}
}

func TestWhatIsToldIsComparedInFull(t *testing.T) {
	if !told().Equal(told()) || !(&Connection{}).Equal(&Connection{}) {
		t.Error("the same is not equal")
	}
	for name, change := range map[string]func(*Connection){
		"source":      func(c *Connection) { c.Source = c.Destination },
		"name":        func(c *Connection) { c.TLS.CommonName = "MacID-2" },
		"verified":    func(c *Connection) { c.TLS.Verified = false },
		"certificate": func(c *Connection) { c.TLS.Certificate = []byte{0x30, 1} },
		"own":         func(c *Connection) { c.Own = []Own{{"a", "b"}} },
		"passed":      func(c *Connection) { c.Passed = []TLV{{0xea, []byte("a")}} },
		"no TLS":      func(c *Connection) { c.TLS = nil },
	} {
		other := told()
		change(other)
		if other.Equal(told()) || told().Equal(other) {
			t.Errorf("another %s is equal", name)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, uint16(1), "h2", "api.example.com", "MacID-1", []byte{0x30}, uint8(0xff), byte(0xea), []byte("\x01vpce-1"))
	f.Add(bytes.Repeat([]byte{0x20}, 16), uint16(65535), "", "", "", []byte(nil), uint8(0), byte(0xe1), []byte("theirs"))
	f.Fuzz(func(t *testing.T, address []byte, port uint16, alpn, authority, name string, cert []byte, fields uint8, kind byte, passed []byte) {
		ip, ok := netip.AddrFromSlice(address)
		if !ok || len(alpn)+len(authority)+2*len(name)+len(cert)+len(passed) > 3000 || kind < 0xe0 {
			return
		}
		c := &Connection{Source: netip.AddrPortFrom(ip.Unmap(), port), Destination: netip.MustParseAddrPort("198.51.100.2:443"),
			ALPN: alpn, Authority: authority, UniqueID: strings.Repeat("x", int(fields%128)), TLS: &TLS{Version: "TLSv1.3", CommonName: name, Certificate: cert, Presented: true},
			Own: []Own{{"{cn}", name}}, Passed: []TLV{{kind, passed}}}
		for _, plan := range []Plan{{Version: 1}, {Version: 2, Fields: Fields(fields), Own: [OwnTypes]string{1: "{cn}"}}} {
			b, err := plan.Header(c)
			if err != nil {
				t.Fatal(err)
			}
			h, err := Parse(b)
			if err != nil || h.Source != c.Source {
				t.Fatalf("%+v, %v, wrote %+v as %q", h, err, c, b)
			}
			want := string(passed)
			if kind == 0xe1 { // ours or nobody's
				want = name
			}
			if plan.Version == 2 && string(h.value(kind)) != want {
				t.Errorf("%#x is %q, was %q", kind, h.value(kind), want)
			}
			if plan.Version == 2 && plan.Fields&Authority != 0 && h.Authority() != authority {
				t.Errorf("the name is %q, was %q", h.Authority(), authority)
			}
		}
	})
}
