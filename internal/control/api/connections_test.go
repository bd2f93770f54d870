package api

import (
	"net/netip"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/live"
)

func TestAFilterMeansWhatItSays(t *testing.T) {
	d := live.Description{
		ID: [16]byte{0xab, 15: 1}, Client: netip.MustParseAddrPort("[::ffff:10.1.2.3]:5000"), Listener: "devices", TrustStore: "fleet",
		Identity: &countersign.Identity{Subject: "CN=MacID-7,OU=a.b", Issuer: "CN=Fleet CA", Serial: "0A1B", Fingerprint: [32]byte{0xcd}},
	}
	id := "TID_ab" + strings.Repeat("0", 28) + "01"
	print := "sha256:cd" + strings.Repeat("0", 62)
	for name, tt := range map[string]struct {
		f    Filter
		want bool
	}{
		"all of it":                {Filter{ID: id, Fingerprint: print, Issuer: "CN=Fleet CA", Serial: "0A1B", Subject: "CN=MacID-7,OU=a.b", Client: "10.1.2.3"}, true},
		"another id":               {Filter{ID: id[:35] + "2"}, false},
		"a fingerprint of openssl": {Filter{Fingerprint: "sha256:CD:" + strings.Repeat("00:", 30) + "00"}, true},
		"another fingerprint":      {Filter{Fingerprint: "sha256:" + strings.Repeat("0", 64)}, false},
		"a serial of openssl":      {Filter{Serial: "0a:1b"}, true},
		"a serial without zero":    {Filter{Serial: "a1b"}, true},
		"a longer serial":          {Filter{Serial: "0A1B0"}, false},
		"a pattern":                {Filter{Subject: "CN=MacID-*,OU=*"}, true},
		"no regular expression":    {Filter{Subject: "CN=MacID-7,OU=axb"}, false},
		"the dot of a subject":     {Filter{Subject: ".*"}, false},
		"a part of a subject":      {Filter{Subject: "CN=MacID-7"}, false},
		"another issuer":           {Filter{Issuer: "CN=Fleet"}, false},
		"a prefix":                 {Filter{Client: "10.0.0.0/8"}, true},
		"another prefix":           {Filter{Client: "10.2.0.0/16"}, false},
		"one of two":               {Filter{Client: "10.0.0.0/8", Serial: "1"}, false},
	} {
		q, err := tt.f.query()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := q.Match(&d); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
	for _, f := range []Filter{
		{ID: "ab"}, {ID: "TID_" + strings.Repeat("0", 31)}, {ID: strings.Repeat("0", 36)}, {Fingerprint: "cd"}, {Fingerprint: "sha1:" + strings.Repeat("0", 40)},
		{Serial: "0x12"}, {Serial: "12 34"}, {Client: "localhost"}, {Client: "10.0.0.0/33"},
	} {
		if _, err := f.query(); err == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
	// Who showed no certificate has none of what a certificate has.
	d.Identity = nil
	for _, f := range []Filter{{Subject: "*"}, {Serial: "0"}, {Issuer: ""}, {Fingerprint: print}} {
		if q, err := f.query(); err != nil || q.Match != nil && q.Match(&d) {
			t.Errorf("%+v means a client without a certificate (%v)", f, err)
		}
	}
}
