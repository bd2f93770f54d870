package authorize_test

import (
	"context"
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/verify"
)

// A register in which every device has that state.
type register countersign.State

func (s register) Hold(id string) *devices.Record {
	r := devices.NewRecord(id)
	r.Learn(&devices.Knowledge{State: countersign.State(s)})
	return r
}
func (register) Release(*devices.Record)                     {}
func (register) Await(context.Context, *devices.Record)      {}
func (register) Seen(*devices.Record, time.Time, netip.Addr) {}

type ids struct{}

func (ids) Of(id *countersign.Identity) (string, error) { return id.CommonNames[0], nil }

type desk struct{}

func (desk) Respond(context.Context, *respond.Request) respond.Answer { return respond.Answer{} }

// A client whose certificate has expired may ask for another one, if its device is
// active, and have nothing else, however public that is.
func TestAnExpiredCertificateIsGoodForItsRenewalAlone(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		t.Fatal(err)
	}
	chain, denial := store.Verify(mid.Client("one", testpki.Expired()).Chain(),
		verify.Options{Renewal: &verify.Renewal{Within: 24 * time.Hour, Issuers: []*x509.Certificate{mid.X509}}})
	if denial != nil {
		t.Fatal(denial)
	}
	client, denial := identify.From(chain)
	if denial != nil {
		t.Fatal(denial)
	}
	renews := route.Action{Respond: desk{}, Enrolls: true, Renews: true}
	for _, c := range []struct {
		name   string
		mode   devices.Mode
		state  countersign.State
		action route.Action
		want   countersign.Code
	}{
		{"its renewal", devices.Enforce, countersign.DeviceActive, renews, ""},
		{"its renewal, where targets decide", devices.Annotate, countersign.DeviceActive, renews, ""},
		{"a target", devices.Enforce, countersign.DeviceActive, route.Action{Forward: new(upstream.Group)}, countersign.ClientCertExpired},
		{"a target, where targets decide", devices.Annotate, countersign.DeviceActive, route.Action{Forward: new(upstream.Group)}, countersign.ClientCertExpired},
		{"what is public", devices.Enforce, countersign.DeviceActive, route.Action{Respond: desk{}, Public: true}, countersign.ClientCertExpired},
		{"its first certificate", devices.Enforce, countersign.DeviceActive, route.Action{Respond: desk{}, Enrolls: true}, countersign.ClientCertExpired},
		{"a renewal that a target would answer", devices.Enforce, countersign.DeviceActive, route.Action{Forward: new(upstream.Group), Renews: true}, countersign.ClientCertExpired},
		{"suspended", devices.Annotate, countersign.DeviceSuspended, renews, countersign.DeviceIsSuspended},
		{"ready", devices.Enforce, countersign.DeviceReady, renews, countersign.DeviceNotActive},
		{"unknown", devices.Enforce, "", renews, countersign.DeviceNotProvisioned},
		{"nobody looked it up", "", "", renews, countersign.CredentialNotProven},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := authorize.Question{Policy: policy(countersign.ClientAuthVerify), Client: client, Action: c.action}
			if c.mode != "" {
				var m devices.Membership
				q.Devices = &devices.Rule{Mode: c.mode, IDs: ids{}}
				m.Enter(register(c.state), q.Devices, client)
				q.Device, _ = m.Standing()
			}
			grant, denial := authorize.Decide(q)
			code := countersign.Code("")
			if denial != nil {
				code = denial.Code
			}
			if code != c.want || grant.Given() != (c.want == "") {
				t.Errorf("%v, a grant: %v; want %q", denial, grant.Given(), c.want)
			}
		})
	}
}
