package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

func enrollment(t *testing.T, s *store.Store, device string) store.Enrollment {
	t.Helper()
	e, err := s.Enrollments.Enrollment(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func enroll(t *testing.T, s *store.Store, device string, edit func(*store.EnrollmentDraft)) {
	t.Helper()
	_, err := s.Enrollments.Enroll(t.Context(), device, func(d *store.EnrollmentDraft) error { edit(d); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func digest(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func enrolled(t *testing.T, s *store.Store, reopen reopen) {
	ctx := t.Context()
	_, err := s.Enrollments.Enrollment(ctx, "nobody")
	want(t, err, store.ErrUnknown)
	_, err = s.Enrollments.Enroll(ctx, "nobody", func(*store.EnrollmentDraft) error { t.Error("edit is called for a device that is unknown"); return nil })
	want(t, err, store.ErrUnknown)
	create(t, s, device("one", countersign.DeviceReady, "site", "a"))
	equal(t, "the enrollment of a device that has none", enrollment(t, s, "one"), store.Enrollment{Device: "one"})

	e := store.Enrollment{Device: "one", Claim: "secret", Secret: []byte("s\x00t"), Key: digest(1), Chain: []byte("PEM"), SealedKey: []byte{0, 1},
		Asked: []store.Asked{{Key: digest(2), Address: "192.0.2.7", At: noon}, {Key: digest(3), Address: "2001:db8::1", At: noon}},
		Taken: digest(4), Fingerprint: digest(5), Delivered: noon, Acknowledged: noon.Add(time.Hour)}
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.Enrollment = e })
	equal(t, "the enrollment", enrollment(t, s, "one"), e)
	if d := get(t, s, "one"); d.Revision != 1 {
		t.Errorf("an edit without an entry made revision %d", d.Revision)
	}
	equal(t, "the enrollment, opened again", enrollment(t, reopen(t), "one"), e)

	c := countersign.Credential{Device: "one", Serial: "0A", Fingerprint: [32]byte{7}, Issuer: "CN=ca", NotBefore: noon, NotAfter: noon, State: countersign.CredentialValid, Added: noon}
	enroll(t, s, "one", func(d *store.EnrollmentDraft) {
		equal(t, "what edit gets", d.Enrollment, e)
		d.Device.State, d.Entry = countersign.DeviceActive, entry("activate")
		d.Enrollment.SealedKey, d.Enrollment.Asked = nil, nil
		d.Credential, d.NewKey = &c, digest(6)
	})
	e.SealedKey, e.Asked = nil, nil
	equal(t, "the enrollment of an active device", enrollment(t, s, "one"), e)
	if d := get(t, s, "one"); d.Revision != 2 || d.State != countersign.DeviceActive || d.Labels["site"] != "a" {
		t.Errorf("the device is %+v", d)
	}
	all, err := s.Credentials.Of(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "its credentials", all, []countersign.Credential{c})
}

// Nothing of it stays where one part is refused.
func enrolledWhole(t *testing.T, s *store.Store, _ reopen) {
	ctx := t.Context()
	create(t, s, device("one", countersign.DeviceReady), device("two", countersign.DeviceReady))
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.NewKey = digest(1) })
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.NewKey = digest(1) }) // its own is no fault
	refused := errors.New("refused")
	_, err := s.Enrollments.Enroll(ctx, "two", func(d *store.EnrollmentDraft) error { d.Enrollment.Claim = "none"; return refused })
	want(t, err, refused)
	_, err = s.Enrollments.Enroll(ctx, "two", func(d *store.EnrollmentDraft) error {
		d.NewKey, d.Enrollment.Claim, d.Device.State, d.Entry = digest(1), "none", countersign.DeviceActive, entry("activate")
		return nil
	})
	want(t, err, store.ErrExists)
	equal(t, "the enrollment after what was refused", enrollment(t, s, "two"), store.Enrollment{Device: "two"})
	if d := get(t, s, "two"); d.State != countersign.DeviceReady || d.Revision != 1 {
		t.Errorf("the device is %+v", d)
	}
	c := countersign.Credential{Device: "one", Fingerprint: [32]byte{7}, State: countersign.CredentialValid, Added: noon}
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.Credential = &c })
	_, err = s.Enrollments.Enroll(ctx, "two", func(d *store.EnrollmentDraft) error {
		twin := c
		twin.Device = "two"
		d.Credential, d.NewKey = &twin, digest(2)
		return nil
	})
	want(t, err, store.ErrExists)
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.NewKey = digest(2) }) // is free
}

func enrollmentEnds(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	enroll(t, s, "one", func(d *store.EnrollmentDraft) {
		d.Enrollment.Secret, d.Enrollment.Taken, d.NewKey = []byte("s"), digest(1), digest(1)
	})
	_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State, d.EndCredentials, d.Entry = countersign.DeviceRevoked, true, entry("revoke")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the enrollment of a revoked device", enrollment(t, s, "one"), store.Enrollment{Device: "one"})
	_, err = s.Enrollments.Enroll(t.Context(), "one", func(d *store.EnrollmentDraft) error { d.NewKey = digest(1); return nil })
	want(t, err, store.ErrExists)
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.NewKey = digest(2) })
}

func waiting(t *testing.T, s *store.Store, _ reopen) {
	for i := range 5 {
		id := fmt.Sprintf("d%d", i)
		create(t, s, device(id, countersign.DeviceReady))
		enroll(t, s, id, func(d *store.EnrollmentDraft) {
			d.Enrollment.Claim = "approval"
			if i != 2 {
				d.Enrollment.Asked = []store.Asked{{Key: digest(1), At: noon}}
			}
		})
	}
	var got []string
	after := ""
	for {
		page, err := s.Enrollments.Waiting(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, e.Device)
			after = e.Device
		}
	}
	equal(t, "those who wait", got, []string{"d0", "d1", "d3", "d4"})
}

func acknowledged(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive))
	enroll(t, s, "one", func(d *store.EnrollmentDraft) { d.Enrollment.Fingerprint, d.Enrollment.Delivered = digest(9), noon })
	for _, c := range []struct {
		fingerprint byte
		at, want    time.Time
	}{{8, noon, time.Time{}}, {9, noon.Add(time.Hour), noon.Add(time.Hour)}, {9, noon.Add(2 * time.Hour), noon.Add(time.Hour)}} {
		if err := s.Enrollments.Acknowledge(t.Context(), [32]byte(digest(c.fingerprint)), c.at); err != nil {
			t.Fatal(err)
		}
		equal(t, "when it was used first", enrollment(t, s, "one").Acknowledged, c.want)
	}
}

// Of many who come at the same time, one is the first.
func enrolledOnce(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady), device("two", countersign.DeviceReady))
	late := errors.New("too late")
	var wg sync.WaitGroup
	taken, keys := make([]error, 8), make([]error, 8)
	for i := range taken {
		wg.Go(func() {
			_, taken[i] = s.Enrollments.Enroll(t.Context(), "one", func(d *store.EnrollmentDraft) error {
				if d.Enrollment.Taken != nil {
					return late
				}
				d.Enrollment.Taken = digest(byte(i))
				return nil
			})
			// One key for two devices.
			_, keys[i] = s.Enrollments.Enroll(t.Context(), []string{"one", "two"}[i%2], func(d *store.EnrollmentDraft) error {
				d.NewKey = digest(100)
				return nil
			})
		})
	}
	wg.Wait()
	first, had := 0, map[int]int{}
	for i := range taken {
		if taken[i] == nil {
			first++
		} else {
			want(t, taken[i], late)
		}
		if keys[i] == nil {
			had[i%2]++
		} else {
			want(t, keys[i], store.ErrExists)
		}
	}
	if first != 1 || len(had) != 1 {
		t.Errorf("%d were the first, %d devices have the key; want 1 and 1", first, len(had))
	}
}
