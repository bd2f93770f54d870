package handshake

import (
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

func off(name string) *Policy { return &Policy{Name: name, Mode: countersign.ClientAuthOff} }

func TestPolicyOfAName(t *testing.T) {
	def, wild, specific, sub, address := off("default"), off("wild"), off("specific"), off("sub"), off("address")
	p := policies(t, def,
		Named{Names: []string{"*.example.com", "other.example"}, Policy: wild},
		Named{Names: []string{"Admin.Example.COM."}, Policy: specific},
		Named{Names: []string{"*.ops.example.com"}, Policy: sub},
		Named{Names: []string{"192.0.2.1", "[2001:db8::1]"}, Policy: address},
	)
	for name, want := range map[string]*Policy{
		"":                         def,
		"example.com":              def,
		"unknown.example":          def,
		"api.example.com":          wild,
		"API.EXAMPLE.com":          wild,
		"api.example.com.":         wild,
		"api.example.com:443":      wild,
		"other.example":            wild,
		"www.other.example":        def,
		"admin.example.com":        specific,
		"ADMIN.example.com.:8443":  specific,
		"x.admin.example.com":      def,
		"ops.example.com":          wild,
		"a.ops.example.com":        sub,
		"a.b.ops.example.com":      def,
		"192.0.2.1:443":            address,
		"[2001:0DB8:0:0::0001]:80": address,
		"a\x00.example.com":        nil,
		"a..example.com":           nil,
		"*.example.com":            nil,
	} {
		if got := p.For(name); got != want {
			t.Errorf("For(%q) = %v, want %v", name, got, want)
		}
	}
	// The reverse: an open wildcard above a specific name that verifies (T14).
	strict := &Policy{Name: "strict", Mode: countersign.ClientAuthVerify, Store: store(t, "s", verify.Config{}, testpki.NewRoot(t, "Root"))}
	p = policies(t, strict, Named{Names: []string{"*.example.com"}, Policy: def}, Named{Names: []string{"admin.example.com"}, Policy: strict})
	if got := p.For("admin.example.com"); got != strict {
		t.Errorf("an open wildcard took a strict name: %v", got.Name)
	}
	if all := p.All(); len(all) != 2 || all[0] != strict || all[1] != def {
		t.Errorf("All() = %v", all)
	}
	if n := testing.AllocsPerRun(100, func() { p.For("api.example.com") }); n != 0 {
		t.Errorf("For: %v allocations", n)
	}
}

func TestPoliciesThatContradictThemselvesAreRefused(t *testing.T) {
	s := store(t, "fleet", verify.Config{}, testpki.NewRoot(t, "Root"))
	for _, c := range []struct {
		def    *Policy
		named  []Named
		faults []string
	}{
		{nil, nil, []string{"no default policy"}},
		{&Policy{}, nil, []string{"has no name", `client_auth mode ""`}},
		{&Policy{Name: "p", Mode: "Verify"}, nil, []string{`client_auth mode "Verify": want off`}},
		{&Policy{Name: "p", Mode: "verify"}, nil, []string{"needs a trust store"}},
		{&Policy{Name: "p", Mode: "optional"}, nil, []string{"needs a trust store"}},
		{&Policy{Name: "p", Mode: "off", Store: s}, nil, []string{`does not verify, yet trust store "fleet"`}},
		{&Policy{Name: "p", Mode: "passthrough", Store: s}, nil, []string{"does not verify"}},
		{&Policy{Name: "p", Mode: "verify", Store: s, MaxChainDepth: -1, OnFailure: "ignore"}, nil, []string{"max_chain_depth -1", `on_failure "ignore"`}},
		{&Policy{Name: "p", Mode: "passthrough", IgnoreExpiry: true}, nil, []string{"ignore_expiry mean nothing"}},
		{&Policy{Name: "p", Mode: "off", AdvertiseCANames: true}, nil, []string{"advertise_ca_names"}},
		{off("p"), []Named{{Names: []string{"a.example"}, Policy: nil}}, []string{"no policy"}},
		{off("p"), []Named{{Policy: off("q")}}, []string{"no server names"}},
		{off("p"), []Named{{Names: []string{"a.example"}, Policy: off("p")}}, []string{"two policies have this name"}},
		{off("p"), []Named{{Names: []string{"", "*", "*.", "a b", "a:443", "[::1]:443"}, Policy: off("q")}},
			[]string{`server name "" is empty`, `'*' does not belong`, `server name "*." is empty`, `' ' does not belong`, `"a:443": want a name without a port`, `"[::1]:443": want`}},
		{off("p"), []Named{{Names: []string{"a.example"}, Policy: off("q")}, {Names: []string{"A.example."}, Policy: off("r")}},
			[]string{`"A.example." belongs to policies "q" and "r"`}},
	} {
		_, err := NewPolicies(c.def, c.named)
		if err == nil {
			t.Errorf("%+v: no error, want %q", c.named, c.faults)
			continue
		}
		for _, f := range c.faults {
			if !strings.Contains(err.Error(), f) {
				t.Errorf("error %q lacks %q", err, f)
			}
		}
	}
}

func TestAdmitExplainsItself(t *testing.T) {
	w := newWorld(t)
	good := w.root.Client("device").Chain()
	fleet := store(t, "fleet", verify.Config{}, w.root)
	for _, c := range []struct {
		policy    Policy
		presented bool
		code      countersign.Code
		chain     bool
		detail    string
	}{
		{Policy{Name: "p", Mode: "off"}, true, "", false, "asks for no certificate; 1 presented"},
		{Policy{Name: "p", Mode: "passthrough"}, false, "", false, "none was presented"},
		{Policy{Name: "p", Mode: "passthrough"}, true, "", true, "unverified"},
		{Policy{Name: "p", Mode: "optional", Store: fleet}, false, "", false, "needs no certificate"},
		{Policy{Name: "p", Mode: "optional", Store: fleet}, true, "", true, "against trust store fleet"},
		{Policy{Name: "p", Mode: "verify", Store: fleet}, false, countersign.ClientCertMissing, false, "needs a certificate"},
		{Policy{Name: "p", Mode: "verify", Store: fleet}, true, "", true, "against trust store fleet"},
		{Policy{Name: "p", Mode: "verify"}, true, countersign.ClientCertRejected, false, "no trust store"},
		{Policy{Name: "p", Mode: "other", Store: fleet}, true, countersign.ClientCertRejected, false, "no trust store"},
		{Policy{Name: "p"}, false, countersign.ClientCertRejected, false, "no trust store"},
	} {
		presented := good
		if !c.presented {
			presented = nil
		}
		var steps []verify.Step
		chain, denial := c.policy.Admit(presented, time.Now(), func(s verify.Step) { steps = append(steps, s) })
		if code(denial) != c.code || chain.IsZero() == c.chain {
			t.Errorf("mode %q, certificate %v: chain %v, denial %v; want chain %v, code %q", c.policy.Mode, c.presented, !chain.IsZero(), denial, c.chain, c.code)
		}
		if len(steps) == 0 || !strings.Contains(steps[0].Detail, c.detail) || steps[0].OK != (c.code == "") {
			t.Errorf("mode %q, certificate %v: steps %+v, want the first to say %q", c.policy.Mode, c.presented, steps, c.detail)
		}
	}
}
