package dn_test

import (
	stdasn1 "encoding/asn1"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/wire/dn"
	"github.com/google/go-cmp/cmp"
)

// oidContent returns the content octets of a dotted object identifier.
func oidContent(t testing.TB, dotted string) []byte {
	t.Helper()
	var oid stdasn1.ObjectIdentifier
	for s := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		oid = append(oid, n)
	}
	der, err := stdasn1.Marshal(oid)
	if err != nil {
		t.Fatal(err)
	}
	return der[2:]
}

func TestString(t *testing.T) {
	text := func(oid []byte, s string) []attr { return []attr{{oid, 12, []byte(s)}} }
	tests := []struct {
		name string
		rdns [][]attr
		want string
	}{
		{"empty", nil, ""},
		{"last RDN first", [][]attr{text([]byte{0x55, 4, 6}, "US"), text([]byte{0x55, 4, 8}, "Washington"), text([]byte{0x55, 4, 10}, "mTLS"), text(oidOU, "client-3"), text(oidCN, "client_.com")},
			"CN=client_.com,OU=client-3,O=mTLS,ST=Washington,C=US"},
		{"device", [][]attr{text(oidCN, "MacID-AA:BB:CC:DD:EE:FF")}, "CN=MacID-AA:BB:CC:DD:EE:FF"},
		{"multi-valued, reversed too", [][]attr{{{oidCN, 12, []byte("a")}, {oidUID, 12, []byte("b")}}}, "UID=b+CN=a"},
		{"specials", [][]attr{text(oidCN, `a,b+c"d\e<f>g;h=i`)}, `CN=a\,b\+c\"d\\e\<f\>g\;h=i`},
		{"edges", [][]attr{text(oidCN, " # "), text(oidOU, "##")}, `OU=\##,CN=\ #\ `},
		{"lone hash", [][]attr{text(oidCN, "#")}, `CN=#`},
		{"controls", [][]attr{text(oidCN, "a\r\nX-Evil: 1\x00\x7f")}, `CN=a\0D\0AX-Evil: 1\00\7F`},
		{"UTF-8", [][]attr{text(oidCN, "Zoë €")}, `CN=Zo\C3\AB \E2\82\AC`},
		{"BMPString", [][]attr{{{oidCN, 30, []byte("\x00Z\x00\xeb\x20\xac")}}}, `CN=Z\C3\AB\E2\82\AC`},
		{"T61String is Latin-1", [][]attr{{{oidCN, 20, []byte("Zo\xeb")}}}, `CN=Zo\C3\AB`},
		{"short names", [][]attr{text(oidEmail, "a@b"), text(oidSerialNumber, "1"), text(oidGivenName, "G"), text(oidOrgID, "VAT"), text(oidDC, "d"), text(oidUID, "u")},
			"UID=u,DC=d,organizationIdentifier=VAT,GN=G,serialNumber=1,emailAddress=a@b"},
		{"unknown type", [][]attr{text(oidPrivate, "é")}, "1.3.6.1.4.1.99999.1=#0C02C3A9"},
		{"no text", [][]attr{{{oidCN, 0x30, []byte{5, 0}}}}, "CN=#30020500"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dn.String(encode(tt.rdns...))
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good := encode([]attr{{oidCN, 12, []byte("a")}})
	tests := map[string]struct {
		der  []byte
		want string
	}{
		"nothing":                 {nil, "not one DER SEQUENCE"},
		"trailing bytes":          {append(good[:len(good):len(good)], 0), "not one DER SEQUENCE"},
		"cut off":                 {good[:len(good)-1], "not one DER SEQUENCE"},
		"indefinite length":       {[]byte{0x30, 0x80, 0, 0}, "not one DER SEQUENCE"},
		"too long":                {make([]byte, 65<<10), "at most 65536"},
		"empty RDN":               {encode(nil), "RDN 1 is not a SET"},
		"RDN is no SET":           {[]byte{0x30, 2, 0x30, 0}, "RDN 1 is not a SET"},
		"attribute is no pair":    {[]byte{0x30, 4, 0x31, 2, 0x30, 0}, "not an attribute type with one value"},
		"two values":              {[]byte{0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 12, 0, 12, 0}, "not an attribute type with one value"},
		"INTEGER":                 {encode([]attr{{oidCN, 2, []byte{1}}}), "2.5.4.3: a value with ASN.1 tag 0x02"},
		"constructed string":      {encode([]attr{{oidCN, 0x2c, []byte{12, 1, 'a'}}}), "ASN.1 tag 0x2c"},
		"bad UTF-8":               {encode([]attr{{oidCN, 12, []byte("\xff")}}), "not valid UTF-8"},
		"odd BMPString":           {encode([]attr{{oidCN, 30, []byte("abc")}}), "BMPString of 3 bytes"},
		"surrogate":               {encode([]attr{{oidCN, 30, []byte("\xd8\x00")}}), "D800, which is no character"},
		"beyond Unicode":          {encode([]attr{{oidCN, 28, []byte("\xff\xff\xff\xff")}}), "FFFFFFFF, which is no character"},
		"empty identifier":        {encode([]attr{{nil, 12, nil}}), "is cut off"},
		"identifier cut off":      {encode([]attr{{[]byte{0x55, 0x84}, 12, nil}}), "is cut off"},
		"padded identifier":       {encode([]attr{{[]byte{0x55, 4, 0x80, 3}, 12, nil}}), "padded number"},
		"identifier with UUID":    {encode([]attr{{append([]byte{0x69}, "\x83\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"...), 12, nil}}), "more than 63 bits"},
		"identifier far too long": {encode([]attr{{[]byte("\x55" + strings.Repeat("\x7f", 40)), 12, nil}}), "at most 79"},
		"BIT STRING of no byte":   {encode([]attr{{oidCN, 3, nil}}), "BIT STRING is not DER"},
		"BIT STRING, loose end":   {encode([]attr{{oidCN, 3, []byte{4, 0xff}}}), "BIT STRING is not DER"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := dn.Parse(tt.der); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// peers 3.D: haproxy 449133cba took CN "admin\0.attacker" for "admin".
func TestValues(t *testing.T) {
	tests := []struct {
		name string
		rdns [][]attr
		want []string
		err  string
	}{
		{"none", [][]attr{{{oidOU, 12, []byte("x")}}}, nil, ""},
		{"in the order of the encoding", [][]attr{{{oidCN, 12, []byte("first")}}, {{oidOU, 12, []byte("x")}, {oidCN, 19, []byte("second")}}}, []string{"first", "second"}, ""},
		{"every alphabet", [][]attr{{{oidCN, 30, []byte("\x20\xac")}}, {{oidCN, 20, []byte("\xeb")}}, {{oidCN, 28, []byte("\x00\x01\xf5\x11")}}}, []string{"€", "ë", "\U0001F511"}, ""},
		{"NUL", [][]attr{{{oidCN, 12, []byte("admin\x00.attacker")}}}, nil, "contains a NUL"},
		{"NUL in BMPString", [][]attr{{{oidCN, 30, []byte("\x00a\x00\x00")}}}, nil, "contains a NUL"},
		{"no ASCII", [][]attr{{{oidCN, 22, []byte("\xe9")}}}, nil, "byte 0xe9"},
		{"no text", [][]attr{{{oidCN, 0x30, nil}}}, nil, "CN is not text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dn.Values(encode(tt.rdns...), dn.CommonName)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got error %v, want one with %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := dn.Values([]byte{1}, dn.CommonName); err == nil {
		t.Error("no name at all: no error")
	}
}

func TestSerial(t *testing.T) {
	for hex, want := range map[string]string{"0": "00", "2": "02", "3a5b1": "03A5B1", "7f": "7F", "80": "80", "-1": "-01", "-abc": "-0ABC"} {
		n, _ := new(big.Int).SetString(hex, 16)
		if got := dn.Serial(n); got != want {
			t.Errorf("%s: got %s, want %s", hex, got, want)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add(encode())
	f.Add(encode([]attr{{oidCN, 12, []byte(" a,é\x00")}, {oidUID, 19, []byte("#")}}, []attr{{oidPrivate, 30, []byte("\x00a")}}))
	f.Add(encode([]attr{{oidCN, 0x30, []byte{5, 0}}}, []attr{{oidOU, 28, []byte("\x00\x00\x00a")}}, []attr{{oidOU, 3, []byte{0, 1}}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := dn.String(der)
		if err != nil {
			if s != "" {
				t.Errorf("%q beside the error %v", s, err)
			}
			return
		}
		for i := range len(s) {
			if s[i] < 0x20 || s[i] > 0x7e {
				t.Fatalf("byte %#02x in %q", s[i], s)
			}
		}
		values, err := dn.Values(der, dn.CommonName)
		if err == nil && strings.ContainsRune(strings.Join(values, ""), 0) {
			t.Errorf("a NUL in %q", values)
		}
	})
}
