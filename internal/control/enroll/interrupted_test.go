package enroll_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/store"
)

// A breaking store and authority fail at the n-th of the steps that an enrollment
// takes, before the step is done or behind it, as the end of the process would.
type breaking struct {
	store.Enrollments
	enroll.Authority
	step   atomic.Int32
	at     int32
	behind bool
}

var errBroken = errors.New("the power is gone")

func (b *breaking) around(do func() error) error {
	n := b.step.Add(1)
	if n >= b.at && !(b.behind && n == b.at) {
		return errBroken
	}
	if err := do(); err != nil || n != b.at {
		return err
	}
	return errBroken
}

func (b *breaking) Enroll(ctx context.Context, id string, edit func(*store.EnrollmentDraft) error) (e store.Enrollment, err error) {
	err = b.around(func() error { e, err = b.Enrollments.Enroll(ctx, id, edit); return err })
	return e, err
}

func (b *breaking) Certify(ctx context.Context, r issuance.Request) (i ca.Issued, err error) {
	err = b.around(func() error { i, err = b.Authority.Certify(ctx, r); return err })
	return i, err
}

// Whatever happens between the first step and the answer, the device gets its
// certificate when it asks again with the same key, nobody else does, and it has
// one alone.
func TestAnInterruptedEnrollmentGoesOnWithTheSameKeyAlone(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		id := []byte("AA:BB:CC:00:00:10")
		for at := int32(1); at <= 3; at++ {
			for _, behind := range []bool{false, true} {
				id[len(id)-1]++
				h.add(string(id))
				b := &breaking{Enrollments: s.Enrollments, Authority: h.authority, at: at, behind: behind}
				broken, around := h.settings, *s
				around.Enrollments = b
				broken.Store, broken.Authority = &around, b
				node := enroll.New(enroll.Config{})
				node.Use(&broken)
				key, thief := newKey(t), newKey(t)
				if got, err := node.Enroll(t.Context(), h.asks(string(id), key, "")); err == nil {
					t.Fatalf("step %d, behind: %v: delivered %v", at, behind, got.Chain[0].Subject)
				}
				taken := at > 1 || behind // then the key is on record
				if taken {
					h.enroll(h.asks(string(id), thief, ""), 409, "EnrollmentKeyConflict")
				}
				got := h.enroll(h.asks(string(id), key, ""), 200, "")
				h.enroll(h.asks(string(id), thief, ""), 409, "EnrollmentKeyConflict")
				all, err := s.Credentials.Of(t.Context(), string(id))
				if err != nil || len(all) != 1 || h.state(string(id)) != countersign.DeviceActive {
					t.Errorf("step %d, behind: %v: %d credentials, %v; the device is %s", at, behind, len(all), err, h.state(string(id)))
				}
				if delivered := at == 3 && behind; got.Again != delivered {
					t.Errorf("step %d, behind: %v: delivered again: %v", at, behind, got.Again)
				}
			}
		}
	})
}

// An uploaded key is gone before it is on its way: who asks again, after the
// process ended in between, gets nothing, and nobody else either.
func TestAnInterruptedHandingOutOfAKeyIsNotRepeated(t *testing.T) {
	s := openSQLite(t)
	h := newHouse(t, s)
	h.add(one)
	issued, err := h.authority.Issue(ca.Request{CommonName: "MacID-" + one})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.desk.Upload(t.Context(), ann, one, bundleOf(t, issued)); err != nil {
		t.Fatal(err)
	}
	for _, behind := range []bool{false, true} {
		around := *s
		around.Enrollments = &breaking{Enrollments: s.Enrollments, at: 1, behind: behind}
		broken := h.settings
		broken.Store = &around
		node := enroll.New(enroll.Config{})
		node.Use(&broken)
		if _, err := node.Enroll(t.Context(), enroll.Request{By: h.bootstrap, Device: one}); err == nil {
			t.Fatal("delivered")
		}
	}
	h.enroll(enroll.Request{By: h.bootstrap, Device: one}, 403, "EnrollmentDelivered")
	if e, err := s.Enrollments.Enrollment(t.Context(), one); err != nil || e.SealedKey != nil {
		t.Errorf("the key is still kept: %v", err)
	}
	if err := h.desk.Upload(t.Context(), ann, one, bundleOf(t, issued)); !errors.Is(err, device.ErrRefused) {
		t.Errorf("uploaded for an active device: %v", err)
	}
}

// What an operator does while the certificate is being issued counts.
func TestADeviceThatIsRevokedWhileItsCertificateIsIssuedGetsNone(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		h.add(one)
		slow := h.settings
		slow.Authority = &meanwhile{Authority: h.authority, do: func() { h.do("revoke", one) }}
		node := enroll.New(enroll.Config{})
		node.Use(&slow)
		_, err := node.Enroll(t.Context(), h.asks(one, newKey(t), ""))
		var refusal *enroll.Refusal
		if !errors.As(err, &refusal) || refusal.Status != 403 {
			t.Fatalf("%v", err)
		}
		for c, err := range h.authority.Certificates(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Profile == "device" && !c.Revoked() {
				t.Errorf("%s of %s is good", c.Serial, c.Subject)
			}
		}
		if all, err := s.Credentials.Of(t.Context(), one); err != nil || len(all) != 0 {
			t.Errorf("%d credentials, %v", len(all), err)
		}
	})
}

type meanwhile struct {
	enroll.Authority
	do func()
}

func (m *meanwhile) Certify(ctx context.Context, r issuance.Request) (ca.Issued, error) {
	i, err := m.Authority.Certify(ctx, r)
	m.do()
	return i, err
}
