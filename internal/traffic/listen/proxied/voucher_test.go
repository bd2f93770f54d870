package proxied_test

import (
	"net/netip"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/wire/proxyproto"
)

var balancer = netip.MustParseAddr("10.0.0.7")

// Whatever a header says, who comes of it is somebody whose certificate a named
// balancer found good.
func FuzzTake(f *testing.F) {
	c := &proxyproto.Connection{Source: netip.MustParseAddrPort("192.0.2.1:4242"), Destination: netip.MustParseAddrPort("198.51.100.2:443")}
	for _, tls := range []*proxyproto.TLS{
		nil, {}, {Presented: true, CommonName: "a"}, {Presented: true, Verified: true, CommonName: "a"},
		{Presented: true, Verified: true, Certificate: testpki.NewRoot(f, "Root").Client("a").X509.Raw},
	} {
		c.TLS = tls
		b, err := proxyproto.Plan{Version: 2, Fields: proxyproto.SSL | proxyproto.ClientCert}.Header(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b, false)
	}
	named := proxied.Vouching{From: []netip.Prefix{netip.PrefixFrom(balancer, 32)}}
	f.Fuzz(func(t *testing.T, b []byte, certificate bool) {
		h, err := proxyproto.Parse(b)
		if err != nil {
			return
		}
		v := named
		v.Certificate = certificate
		voucher, denial := v.Take(balancer, h)
		if (denial == nil) == voucher.IsZero() {
			t.Fatalf("%+v, %v", voucher, denial)
		}
		if _, denial := v.Take(balancer.Next(), h); denial == nil {
			t.Error("a balancer that is not named is believed")
		}
		if denial != nil {
			return
		}
		told, result := h.TLS()
		if told == nil || !told.Verified || result != 0 || h.Local || voucher.By() != balancer {
			t.Errorf("%+v with result %d is believed", told, result)
		}
		if certificate && len(voucher.Presented()) == 0 || voucher.CommonName() == "" && len(voucher.Presented()) == 0 {
			t.Error("nobody in particular is vouched for")
		}
	})
}

func TestAVoucherEndsWithTheBelief(t *testing.T) {
	h := &proxyproto.Header{Version: 2, TLVs: []proxyproto.TLV{{Type: proxyproto.TypeSSL, Value: []byte("\x07\x00\x00\x00\x00\x22\x00\x01a")}}}
	before := &proxied.Vouching{From: []netip.Prefix{netip.PrefixFrom(balancer, 32)}}
	voucher, denial := before.Take(balancer, h)
	if denial != nil || before.Still(voucher) != nil {
		t.Fatal(denial)
	}
	after := &proxied.Vouching{From: []netip.Prefix{netip.PrefixFrom(balancer.Next(), 32)}}
	if after.Still(voucher) == nil || before.Same(after) || before.Same(nil) || !before.Same(&proxied.Vouching{From: before.From}) {
		t.Error("a balancer is believed that is not named any more")
	}
	if _, denial := before.Take(balancer, nil); denial == nil {
		t.Error("no header vouches for somebody")
	}
	var nobody proxied.Voucher
	if !nobody.IsZero() || nobody.By().IsValid() || nobody.CommonName() != "" || nobody.Presented() != nil || nobody.TLS() != nil {
		t.Error("the zero voucher is somebody's")
	}
}
