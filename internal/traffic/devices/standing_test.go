package devices_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
)

// ids takes the common name.
type ids struct{}

func (ids) Of(c *countersign.Identity) (string, error) {
	if c.CommonNames[0] == "nobody" {
		return "", errors.New("the certificate names no device")
	}
	return c.CommonNames[0], nil
}

// register is one device, which others teach.
type register struct {
	record *devices.Record
	held   int
	seen   []time.Time
}

func (r *register) Hold(string) *devices.Record            { r.held++; return r.record }
func (r *register) Release(*devices.Record)                { r.held-- }
func (r *register) Await(context.Context, *devices.Record) {}

func (r *register) Seen(_ *devices.Record, at time.Time, _ netip.Addr) { r.seen = append(r.seen, at) }

func client(t testing.TB, name string) identify.Client {
	t.Helper()
	root := testpki.NewRoot(t, "Root")
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		t.Fatal(err)
	}
	chain, denial := store.Verify([]*x509.Certificate{root.Client(name).X509}, verify.Options{Now: time.Now()})
	if denial != nil {
		t.Fatal(denial)
	}
	c, denial := identify.From(chain)
	if denial != nil {
		t.Fatal(denial)
	}
	return c
}

func enter(t testing.TB, c identify.Client) (*devices.Membership, *register) {
	r := &register{record: devices.NewRecord("one")}
	m := &devices.Membership{}
	m.Enter(r, &devices.Rule{Mode: devices.Enforce, IDs: ids{}, Bootstrap: "early"}, c)
	return m, r
}

func code(d *countersign.Denial) countersign.Code {
	if d == nil {
		return ""
	}
	return d.Code
}

func TestTheZeroStandingProvesNothing(t *testing.T) {
	for _, enroll := range []bool{false, true} {
		if d := (devices.Standing{}).Refusal(enroll); code(d) != countersign.CredentialNotProven {
			t.Errorf("a standing that nobody made: %v", d)
		}
	}
}

func TestWhoIsServedAndWhoMayEnroll(t *testing.T) {
	one := client(t, "one")
	print := one.Identity().Fingerprint
	cut := time.Now()
	for _, c := range []struct {
		name       string
		known      *devices.Knowledge
		serve      countersign.Code
		enroll     countersign.Code
		toldInWord string
	}{
		{"nothing is known", nil, countersign.DeviceStateUnavailable, countersign.DeviceStateUnavailable, "unavailable"},
		{"unknown", &devices.Knowledge{}, countersign.DeviceNotProvisioned, "", "unknown"},
		{"provisioned", &devices.Knowledge{State: countersign.DeviceProvisioned}, countersign.DeviceNotActive, "", "provisioned"},
		{"ready", &devices.Knowledge{State: countersign.DeviceReady}, countersign.DeviceNotActive, "", "ready"},
		{"active", &devices.Knowledge{State: countersign.DeviceActive}, "", "", "active"},
		{"suspended", &devices.Knowledge{State: countersign.DeviceSuspended}, countersign.DeviceIsSuspended, countersign.DeviceIsSuspended, "suspended"},
		{"revoked", &devices.Knowledge{State: countersign.DeviceRevoked}, countersign.DeviceIsRevoked, countersign.DeviceIsRevoked, "revoked"},
		{"retired", &devices.Knowledge{State: countersign.DeviceRetired}, countersign.DeviceIsRetired, countersign.DeviceIsRetired, "retired"},
		{"a state of the future", &devices.Knowledge{State: "lent"}, countersign.DeviceIsRevoked, countersign.DeviceIsRevoked, "lent"},
		{"recorded", &devices.Knowledge{State: countersign.DeviceActive, CutOff: cut, Credentials: []devices.Credential{{Fingerprint: print}}}, "", "", "active"},
		{"recorded as revoked", &devices.Knowledge{State: countersign.DeviceActive, Credentials: []devices.Credential{{}, {Fingerprint: print, Revoked: true}}},
			countersign.DeviceCertificateRevoked, countersign.DeviceCertificateRevoked, "revoked"},
		{"not recorded, of before the cut", &devices.Knowledge{State: countersign.DeviceReady, CutOff: cut, Credentials: []devices.Credential{{}}},
			countersign.DeviceCertificateRevoked, countersign.DeviceCertificateRevoked, "revoked"},
		{"not recorded, of after the cut", &devices.Knowledge{State: countersign.DeviceActive, CutOff: one.Identity().NotBefore}, "", "", "active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, r := enter(t, one)
			if c.known != nil {
				r.record.Learn(c.known)
			}
			s, fresh := m.Standing()
			if !fresh {
				t.Error("the first standing is not a new one")
			}
			if _, fresh := m.Standing(); fresh {
				t.Error("the second standing is a new one")
			}
			if got := code(s.Refusal(false)); got != c.serve {
				t.Errorf("served with %q, want %q", got, c.serve)
			}
			if got := code(s.Refusal(true)); got != c.enroll {
				t.Errorf("enrolls with %q, want %q", got, c.enroll)
			}
			if s.Word() != c.toldInWord {
				t.Errorf("in a word it is %q, want %q", s.Word(), c.toldInWord)
			}
			m.Leave()
			if r.held != 0 {
				t.Errorf("%d are held in the end", r.held)
			}
		})
	}
}

func TestClientsThatAreNoDevices(t *testing.T) {
	for _, c := range []struct {
		name          string
		client        identify.Client
		serve, enroll countersign.Code
	}{
		{"anonymous", identify.Anonymous(), countersign.ClientCertMissing, countersign.ClientCertMissing},
		{"without a name", client(t, "nobody"), countersign.DeviceUnnamed, countersign.DeviceUnnamed},
		{"bootstrap", client(t, "early"), countersign.DeviceBootstrap, ""},
		{"of nobody's making", identify.Client{}, countersign.DeviceUnnamed, countersign.DeviceUnnamed},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, r := enter(t, c.client)
			s, _ := m.Standing()
			if got := code(s.Refusal(false)); got != c.serve {
				t.Errorf("served with %q, want %q", got, c.serve)
			}
			if got := code(s.Refusal(true)); got != c.enroll {
				t.Errorf("enrolls with %q, want %q", got, c.enroll)
			}
			if r.held != 0 || m.Device() != "" {
				t.Errorf("it is device %q, %d are held", m.Device(), r.held)
			}
		})
	}
}

func TestWhoWasServedLosesTheConnectionWithTheStanding(t *testing.T) {
	active := &devices.Knowledge{State: countersign.DeviceActive}
	suspended := &devices.Knowledge{State: countersign.DeviceSuspended}
	one := client(t, "one")
	m, r := enter(t, one)
	r.record.Learn(suspended)
	m.Came()
	if d := m.LostSince(); d != nil {
		t.Errorf("one that was never served: %v", d)
	}
	r.record.Learn(active)
	if d := m.LostSince(); d != nil {
		t.Errorf("one that is active: %v", d)
	}
	r.record.Learn(suspended)
	if d := m.LostSince(); code(d) != countersign.DeviceIsSuspended {
		t.Errorf("one that was active: %v", d)
	}

	m, r = enter(t, one)
	m.Enter(r, nil, one) // the rule is gone
	r.record.Learn(suspended)
	if d := m.LostSince(); d != nil || r.held != 0 {
		t.Errorf("without a rule: %v, %d held", d, r.held)
	}
}

func TestADeviceIsSeenNowAndThen(t *testing.T) {
	m, r := enter(t, client(t, "one"))
	first := time.Now()
	next := first.Add(devices.Sample)
	for _, at := range []time.Time{first, first.Add(time.Second), next.Add(-1), next, next.Add(1)} {
		m.Saw(at, netip.Addr{})
	}
	if !slices.Equal(r.seen, []time.Time{first, next}) {
		t.Errorf("seen at %v, want %v and %v", r.seen, first, next)
	}
}

func TestALookAtTheStandingAllocatesNothing(t *testing.T) {
	m, r := enter(t, client(t, "one"))
	r.record.Learn(&devices.Knowledge{State: countersign.DeviceActive})
	if n := testing.AllocsPerRun(1000, func() {
		if s, _ := m.Standing(); s.Refusal(false) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStanding(b *testing.B) {
	m, r := enter(b, client(b, "one"))
	r.record.Learn(&devices.Knowledge{State: countersign.DeviceActive})
	for b.Loop() {
		m.Standing()
	}
}
