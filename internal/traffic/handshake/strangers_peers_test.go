package handshake

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// What strangers send to make a server work, or fall (peers T34): each is refused
// with its code, and the next client is served.
func TestStrangersWithTooMuchAreRefused(t *testing.T) {
	w := newWorld(t)
	strict := &Policy{Name: "strict", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)}
	passed := &Policy{Name: "passed", Mode: countersign.ClientAuthPassthrough}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
		Policies: policies(t, strict, Named{Names: []string{"passed.example.com"}, Policy: passed})}))

	device := w.root.Client("device")
	names := func(n, size int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("%0*d.example.com", size-len(".example.com"), i)
		}
		return all
	}
	below := func(ca *testpki.Certificate, n int) *testpki.Certificate {
		for range n {
			ca = ca.Intermediate("Issuing")
		}
		return ca.Client("deep")
	}
	uri := "urn:" + strings.Repeat("x", 200<<10)
	for _, c := range []struct {
		name string
		cert *testpki.Certificate
		code countersign.Code
		any  bool // refused when passed through, too
	}{
		{"100 intermediates", below(w.other, 100), countersign.ClientCertMaxChainDepthExceeded, true},
		{"100 intermediates of our own", below(w.root, 100), countersign.ClientCertMaxChainDepthExceeded, true},
		{"10000 names", w.root.Client("names", testpki.DNS(names(10000, 20)...)), countersign.ClientCertMaxSizeExceeded, true},
		{"2000 names", w.root.Client("names", testpki.DNS(names(2000, 20)...)), countersign.ClientCertInvalid, false},
		{"a name of 200 KiB", w.root.Client("name", testpki.URI(uri)), countersign.ClientCertMaxSizeExceeded, true},
		{"a subject of 70 KiB", w.root.Client(strings.Repeat("x", 70<<10)), countersign.ClientCertMaxSizeExceeded, true},
	} {
		for _, v := range versions {
			t.Run(c.name+"/"+tls.VersionName(v), func(t *testing.T) {
				for name, want := range map[string]countersign.Code{"api.example.com": c.code, "passed.example.com": c.code} {
					if name == "passed.example.com" && !c.any {
						want = ""
					}
					_, err, out := r.connect(at(w.client(name, c.cert), v))
					if code(out.Denial) != want || out.Refused != (want != "") {
						t.Errorf("%s: %v, refused %t, the client got %v; want %q", name, out.Denial, out.Refused, err, want)
					}
					if out.Denial != nil && len(out.Denial.Reason) > 2000 {
						t.Errorf("%s: the reason is %d bytes long", name, len(out.Denial.Reason))
					}
				}
			})
		}
	}
	if _, err, out := r.connect(w.client("api.example.com", device)); err != nil || out.Denial != nil {
		t.Errorf("after all that a device got %v, %v", err, out.Denial)
	}
}

// No ticket says that early data will be taken (peers T16, RFC 8446 section
// 4.2.10): it could be sent twice, by somebody else.
func TestNoTicketInvitesEarlyData(t *testing.T) {
	w := newWorld(t)
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Keys: NewTicketKeys(TicketKeysConfig{}),
		Policies: policies(t, &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Resumption: true,
			Store: store(t, "fleet", verify.Config{}, w.root)})}))
	var p pocket
	if _, err, _ := r.connect(p.on(w.client("api.example.com", w.root.Client("device")), tls.VersionTLS13)); err != nil {
		t.Fatal(err)
	}
	if p.session == nil {
		t.Fatal("the client was given no ticket")
	}
	_, state, err := p.session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	if state.EarlyData {
		t.Error("the ticket allows early data")
	}
}
