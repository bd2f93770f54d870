package storetest

import (
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

func standings(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("a", countersign.DeviceActive), device("b", countersign.DeviceReady), device("c", countersign.DeviceActive), device("unasked", countersign.DeviceReady))
	for _, c := range []countersign.Credential{credential("a", 2), credential("a", 1), credential("c", 3)} {
		if err := s.Credentials.Add(t.Context(), c, entry("credential")); err != nil {
			t.Fatal(err)
		}
	}
	alter := func(id string, at time.Time, to countersign.State) {
		t.Helper()
		_, err := s.Devices.Update(t.Context(), id, func(d *store.Draft) error {
			d.EndCredentials = to == countersign.DeviceRevoked
			d.Device.State, d.Entry = to, entry("edit")
			d.Entry.At = at
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cut := noon.Add(time.Hour)
	alter("c", cut.Add(-time.Minute), countersign.DeviceRevoked)
	alter("c", cut.Add(-time.Second), countersign.DeviceReady)
	alter("c", cut, countersign.DeviceRetired)
	alter("c", cut.Add(time.Second), countersign.DeviceRetired) // which it was
	alter("b", cut, countersign.DeviceSuspended)

	print := func(n byte) [32]byte { return credential("", n).Fingerprint }
	got, err := s.Standings.Standings(t.Context(), []string{"c", "nobody", "b", "a", "a"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "standings", got, []store.Standing{
		{ID: "a", State: countersign.DeviceActive, Credentials: []store.CredentialStanding{
			{Fingerprint: print(1), State: countersign.CredentialValid}, {Fingerprint: print(2), State: countersign.CredentialValid}}},
		{ID: "b", State: countersign.DeviceSuspended},
		{ID: "c", State: countersign.DeviceRetired, CutOff: cut, Credentials: []store.CredentialStanding{
			{Fingerprint: print(3), State: countersign.CredentialRevoked}}},
	})
	if got, err := s.Standings.Standings(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of no devices: %v, %v", got, err)
	}
}
