package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ssl is a header with an SSL TLV of these bits and that result.
func ssl(client byte, result string, subs ...string) []byte {
	return []byte(v2(proxy, tcp4, ends4, tlv(TypeSSL, string(client)+result+strings.Join(subs, ""))))
}

const fine, bad = "\x00\x00\x00\x00", "\x00\x00\x00\x0a"

func TestWhatAProxySaysOfTLS(t *testing.T) {
	name := tlv(0x22, "MacID-1")
	for what, c := range map[string]struct {
		header []byte
		want   *TLS
	}{
		"no TLV":      {[]byte(v2(proxy, tcp4, ends4)), nil},
		"without TLS": {ssl(0, fine), nil},
		// Client bits without that of TLS mean nothing.
		"a certificate without TLS": {ssl(6, fine, name), nil},
		"no certificate":            {ssl(1, fine, tlv(0x21, "TLSv1.3")), &TLS{Version: "TLSv1.3"}},
		"a certificate":             {ssl(7, fine, name), &TLS{Presented: true, Verified: true, CommonName: "MacID-1"}},
		"in a session of its":       {ssl(5, fine, name), &TLS{Presented: true, Resumed: true, Verified: true, CommonName: "MacID-1"}},
		"one that is no good":       {ssl(7, bad, name), &TLS{Presented: true, CommonName: "MacID-1"}},
		"a name without the bits":   {ssl(1, fine, name), &TLS{CommonName: "MacID-1"}},
		"everything": {ssl(7, fine, tlv(0x21, "v"), tlv(0x23, "c"), tlv(0x24, "s"), tlv(0x25, "k"), tlv(0x26, "g"), tlv(0x27, "m"), tlv(0x28, "\x30\x00"), tlv(TypeNoop, ""), tlv(TypeNoop, "")),
			&TLS{Presented: true, Verified: true, Version: "v", Cipher: "c", SigAlg: "s", KeyAlg: "k", Group: "g", SigScheme: "m", Certificate: []byte{0x30, 0}}},
	} {
		h, err := Parse(c.header)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got, result := h.TLS()
		if diff := cmp.Diff(c.want, got); diff != "" || (result != 0) != (what == "one that is no good") {
			t.Errorf("%s: result %d, %s", what, result, diff)
		}
	}
	for what, header := range map[string][]byte{
		"two names":        ssl(7, fine, tlv(0x22, "a"), tlv(0x22, "b")),
		"two certificates": ssl(7, fine, tlv(0x28, "a"), tlv(0x28, "a")),
		"cut short":        ssl(7, fine, "\x22\x00\x09a"),
	} {
		var malformed *MalformedError
		if h, err := Parse(header); !errors.As(err, &malformed) {
			t.Errorf("%s: %+v, %v", what, h, err)
		}
	}
}

func TestTheFieldsOfOthersArePassedOn(t *testing.T) {
	c := told()
	c.Own = []Own{{"{cn}", "MacID-1"}, {"{ou}", ""}, {"zone {zone}", "zone a"}}
	c.Passed = []TLV{{0xea, []byte("\x01vpce-1")}, {0xe1, []byte("theirs")}, {0xe2, []byte("also theirs")}, {TypeAuthority, []byte("theirs")}, {0xf0, nil}}
	plan := Plan{Version: 2, Fields: Authority | CRC32C}
	plan.Own[1], plan.Own[2], plan.Own[3] = "{cn}", "{ou}", "zone {zone}"
	b, err := plan.Header(c)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tlv := range h.TLVs {
		if tlv.Type != TypeCRC32C {
			got = append(got, fmt.Sprintf("%x %s", tlv.Type, tlv.Value))
		}
	}
	slices.Sort(got)
	// 0xE2 is missing since ours is left out: theirs must not pass for it.
	want := []string{"2 api.example.com", "e1 MacID-1", "e3 zone a", "ea \x01vpce-1", "f0 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if h.VPCEndpoint() != "vpce-1" {
		t.Errorf("the endpoint is %q", h.VPCEndpoint())
	}
	if b, err := (Plan{Version: 1, Own: plan.Own}).Header(c); err != nil || bytes.Contains(b, []byte("MacID")) {
		t.Errorf("%q, %v", b, err)
	}
}
