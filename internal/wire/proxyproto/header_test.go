package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a header of version 2 of command and family, both as the protocol
// numbers them, with the length that it has.
func v2(command, family byte, body ...string) string {
	b := strings.Join(body, "")
	return string(signatureV2) + string([]byte{command, family, byte(len(b) >> 8), byte(len(b))}) + b
}

// tlv makes one field.
func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

const (
	proxy, local = 0x21, 0x20
	tcp4, tcp6   = 0x11, 0x21
)

var (
	ends4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x92\x01\xbb" // 192.0.2.1:4242 to 198.51.100.2:443
	ends6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" +
		"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02" + "\x10\x92\x01\xbb"
)

// summed is a header whose CRC32C is right: the field is put behind body.
func summed(body ...string) string {
	b := []byte(v2(proxy, tcp4, append(append([]string{ends4}, body...), tlv(TypeCRC32C, "\x00\x00\x00\x00"))...))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

func TestAHeaderSaysWhoseConnectionItIs(t *testing.T) {
	from, to := netip.MustParseAddrPort("192.0.2.1:4242"), netip.MustParseAddrPort("198.51.100.2:443")
	from6, to6 := netip.MustParseAddrPort("[2001:db8::1]:4242"), netip.MustParseAddrPort("[2001:db8::2]:443")
	for name, c := range map[string]struct {
		in   string
		want Header
	}{
		"version 1, IPv4": {"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\n", Header{Version: 1, Source: from, Destination: to}},
		"version 1, IPv6": {"PROXY TCP6 2001:db8::1 2001:db8::2 4242 443\r\n", Header{Version: 1, Source: from6, Destination: to6}},
		"version 1, IPv4 in IPv6": {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 4242 443\r\n",
			Header{Version: 1, Source: from, Destination: to}},
		"version 1, unknown":                {"PROXY UNKNOWN\r\n", Header{Version: 1, Local: true}},
		"version 1, unknown with addresses": {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Header{Version: 1, Local: true}},
		"version 2, IPv4":                   {v2(proxy, tcp4, ends4), Header{Version: 2, Source: from, Destination: to}},
		"version 2, IPv6":                   {v2(proxy, tcp6, ends6), Header{Version: 2, Source: from6, Destination: to6}},
		"version 2, LOCAL":                  {v2(local, 0), Header{Version: 2, Local: true}},
		"version 2, LOCAL with addresses":   {v2(local, tcp4, ends4), Header{Version: 2, Local: true}},
		"version 2, padded":                 {v2(proxy, tcp4, ends4, tlv(TypeNoop, "\x00\x00")), Header{Version: 2, Source: from, Destination: to}},
		"version 2, with a sum":             {summed(tlv(TypeNoop, "")), Header{Version: 2, Source: from, Destination: to}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if h.Version != c.want.Version || h.Local != c.want.Local || h.Source != c.want.Source || h.Destination != c.want.Destination {
				t.Errorf("%+v, want %+v", h, c.want)
			}
		})
	}
}

func TestTheFieldsOfAHeaderAreKept(t *testing.T) {
	h, err := Parse([]byte(summed(tlv(TypeAuthority, "api.example.com"), tlv(TypeUniqueID, "\x00id\xff"),
		tlv(0xea, "\x01vpce-08d2bf15fac5001c9"), tlv(0xe0, "a"), tlv(0xe0, "b"))))
	if err != nil {
		t.Fatal(err)
	}
	if h.Authority() != "api.example.com" || string(h.UniqueID()) != "\x00id\xff" || h.VPCEndpoint() != "vpce-08d2bf15fac5001c9" || len(h.TLVs) != 6 {
		t.Errorf("%q, %q, %q, %d TLVs", h.Authority(), h.UniqueID(), h.VPCEndpoint(), len(h.TLVs))
	}
}

func TestAMalformedHeaderIsRefusedWithAReason(t *testing.T) {
	wrongSum := []byte(summed())
	wrongSum[20]++
	for name, c := range map[string]struct{ in, reason string }{
		"nothing":                           {"", "does not begin"},
		"something else":                    {"GET / HTTP/1.1\r\n\r\n", "does not begin"},
		"version 1 without CR":              {"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\n", "CR LF"},
		"version 1 without an end":          {"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443", "header"},
		"version 1 beyond 107 bytes":        {"PROXY UNKNOWN " + strings.Repeat("x", 94) + "\r\n", "107"},
		"version 1 with a wrong family":     {"PROXY TCP4 2001:db8::1 2001:db8::2 4242 443\r\n", "invalid address"},
		"version 1 with IPv4 as IPv6":       {"PROXY TCP6 192.0.2.1 198.51.100.2 4242 443\r\n", "invalid address"},
		"version 1 with a zone":             {"PROXY TCP6 fe80::1%eth0 fe80::2 4242 443\r\n", "invalid address"},
		"version 1 over UDP":                {"PROXY UDP4 192.0.2.1 198.51.100.2 4242 443\r\n", "not about a TCP connection"},
		"version 1 with a large port":       {"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", "port"},
		"version 1 with a padded port":      {"PROXY TCP4 192.0.2.1 198.51.100.2 04242 443\r\n", "port"},
		"version 1 with another word":       {"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443 x\r\n", "not about a TCP connection"},
		"version 1 with two spaces":         {"PROXY  TCP4 192.0.2.1 198.51.100.2 4242 443\r\n", "not about a TCP connection"},
		"version 3":                         {v2(0x31, tcp4, ends4), "version is not 2"},
		"an unknown command":                {v2(0x22, tcp4, ends4), "command"},
		"UDP":                               {v2(proxy, 0x12, ends4), "not about a TCP connection"},
		"a unix socket":                     {v2(proxy, 0x31, strings.Repeat("x", 216)), "not about a TCP connection"},
		"an unknown family":                 {v2(proxy, 0x41, ends4), "not about a TCP connection"},
		"no family":                         {v2(proxy, 0), "not about a TCP connection"},
		"addresses that are cut short":      {v2(proxy, tcp4, ends4[:11]), "length does not fit"},
		"addresses of the other family":     {v2(proxy, tcp6, ends4), "length does not fit"},
		"a TLV beyond the end":              {v2(proxy, tcp4, ends4, "\x01\x00\x05h2"), "TLV is longer"},
		"half a TLV":                        {v2(proxy, tcp4, ends4, "\x01\x00"), "TLV is longer"},
		"a wrong sum":                       {string(wrongSum), "CRC32C"},
		"a sum of another size":             {v2(proxy, tcp4, ends4, tlv(TypeCRC32C, "\x00\x00")), "CRC32C"},
		"two sums":                          {summed(tlv(TypeCRC32C, "\x00\x00\x00\x00")), ""},
		"two names":                         {v2(proxy, tcp4, ends4, tlv(TypeAuthority, "a"), tlv(TypeAuthority, "b")), "there twice"},
		"a long id":                         {v2(proxy, tcp4, ends4, tlv(TypeUniqueID, strings.Repeat("x", 129))), "UNIQUE_ID"},
		"an SSL TLV that is cut short":      {v2(proxy, tcp4, ends4, tlv(TypeSSL, "\x01\x00")), "SSL TLV"},
		"an SSL TLV with a TLV beyond it":   {v2(proxy, tcp4, ends4, tlv(TypeSSL, "\x01\x00\x00\x00\x00\x22\x00\x05cn")), "SSL TLV"},
		"an SSL TLV with two names":         {v2(proxy, tcp4, ends4, tlv(TypeSSL, "\x07\x00\x00\x00\x00"+tlv(0x22, "a")+tlv(0x22, "b"))), "there twice"},
		"64 KiB of TLVs":                    {v2(proxy, tcp4, ends4, tlv(0xe0, strings.Repeat("x", 65000))), "4 KiB"},
		"more bytes than it says":           {v2(proxy, tcp4, ends4) + "x", "more bytes"},
		"version 2 with a header behind it": {v2(proxy, tcp4, ends4) + v2(proxy, tcp4, ends4), "more bytes"},
		"a header as a TLV of another":      {v2(proxy, tcp4, ends4, string(signatureV2)), "TLV is longer"},
		"a length beyond its bytes":         {v2(proxy, tcp4, ends4)[:20], "address"},
		"version 1 with a header behind it": {"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n", "more bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse([]byte(c.in))
			var wrong *MalformedError
			if !errors.As(err, &wrong) || !strings.Contains(wrong.Reason, c.reason) {
				t.Errorf("%+v, %v; want an error with %q", h, err, c.reason)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n",
		v2(proxy, tcp4, ends4), v2(proxy, tcp6, ends6), v2(local, 0), v2(local, tcp4),
		summed(tlv(TypeSSL, "\x07\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3")), tlv(0xea, "\x01vpce-1")),
		v2(proxy, tcp4, ends4, tlv(TypeSSL, "\x05\x00\x00\x00\x00"+tlv(0x22, "a")+tlv(0x28, "0"))),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		var wrong *MalformedError
		if err != nil {
			if !errors.As(err, &wrong) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if begins(b) != yes {
			t.Errorf("%q is a header, and does not begin like one", b)
		}
		if h.Local == h.Source.IsValid() || h.Source.IsValid() != h.Destination.IsValid() {
			t.Errorf("local: %v, from %v to %v", h.Local, h.Source, h.Destination)
		}
		h.Authority()
		h.VPCEndpoint()
		told, result := h.TLS()
		if told != nil && told.Verified && (result != 0 || !told.Presented) {
			t.Errorf("%+v is taken for verified, result %d", told, result)
		}
		if again, err := Parse(bytes.Clone(b)); err != nil || again.Source != h.Source {
			t.Errorf("%v, %v; %v before", again, err, h)
		}
	})
}
