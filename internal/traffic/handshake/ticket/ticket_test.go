package ticket

import (
	"bytes"
	"testing"
	"time"
)

func sealed(first time.Time, life time.Duration, state string) Session {
	return Session{First: first.Truncate(time.Second), Until: first.Truncate(time.Second).Add(life), State: []byte(state)}
}

func TestATicketOpensOnlyWhereItWasSealed(t *testing.T) {
	now := time.Now()
	keys, others := NewKeys(Config{}), NewKeys(Config{})
	mine, foreign := Binding{1}, Binding{2}
	want := sealed(now, time.Hour, "state")
	ticket := keys.Seal(want, &mine, now)

	got, ok := keys.Open(ticket, &mine, now)
	if !ok || !got.First.Equal(want.First) || !got.Until.Equal(want.Until) || !bytes.Equal(got.State, want.State) {
		t.Fatalf("open: %v, %v; want %v", got, ok, want)
	}
	if _, ok := keys.Open(ticket, &foreign, now); ok {
		t.Error("it opens under another binding")
	}
	if _, ok := others.Open(ticket, &mine, now); ok {
		t.Error("it opens with other keys")
	}
	if _, ok := keys.Open(ticket, &mine, want.Until); ok {
		t.Error("it opens at its end")
	}
	for i := range ticket {
		bad := bytes.Clone(ticket)
		bad[i] ^= 1
		if _, ok := keys.Open(bad, &mine, now); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
		if _, ok := keys.Open(ticket[:i], &mine, now); ok {
			t.Errorf("its first %d bytes open", i)
		}
	}
	if bytes.Equal(ticket, keys.Seal(want, &mine, now)) {
		t.Error("two tickets of one session are the same: an observer can link connections")
	}
	if _, ok := keys.Open(Dead(), &mine, now); ok {
		t.Error("a dead ticket opens")
	}
	if got := keys.Seal(sealed(now, time.Hour, string(make([]byte, maxSize))), &mine, now); !bytes.Equal(got, Dead()) {
		t.Errorf("a session beyond the limit makes a ticket of %d bytes", len(got))
	}
}

func TestKeysAreReplacedAndForgotten(t *testing.T) {
	start := time.Now()
	clock := func() time.Time { return start }
	keys := NewKeys(Config{Lifetime: time.Hour, Now: clock})
	var binding Binding
	ticket := keys.Seal(sealed(start, 100*time.Hour, "s"), &binding, start)
	for _, step := range []struct {
		at    time.Duration
		opens bool
	}{{0, true}, {59 * time.Minute, true}, {61 * time.Minute, true}, {119 * time.Minute, true}, {2 * time.Hour, false}} {
		now := start.Add(step.at)
		keys.Seal(sealed(now, time.Hour, "other"), &binding, now) // rotates when due
		if _, ok := keys.Open(ticket, &binding, now); ok != step.opens {
			t.Errorf("after %v: opens %v, want %v", step.at, ok, step.opens)
		}
		if n := len(*keys.ring.Load()); n > 2 {
			t.Errorf("after %v: %d keys, want at most 2", step.at, n)
		}
	}
	if id := (*keys.ring.Load())[0].id; id == keyID(ticket[1:headerSize]) {
		t.Error("the first key still seals")
	}
	// A listener that nobody used for a week opens nothing old, rotated or not.
	idle := NewKeys(Config{Lifetime: time.Hour, Now: clock})
	ticket = idle.Seal(sealed(start, 100*time.Hour, "s"), &binding, start)
	if _, ok := idle.Open(ticket, &binding, start.Add(7*24*time.Hour)); ok {
		t.Error("a key opens a week after it was made")
	}
}

func FuzzTicketOpen(f *testing.F) {
	now := time.Now()
	keys := NewKeys(Config{})
	binding := Binding{1}
	good := keys.Seal(sealed(now, time.Hour, "state"), &binding, now)
	for _, s := range [][]byte{nil, {0}, good, good[:overhead], append(bytes.Clone(good), 0), make([]byte, maxSize+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ticket []byte) {
		if _, ok := keys.Open(ticket, &binding, now); ok && !bytes.Equal(ticket, good) {
			t.Fatalf("a forged ticket opens: %x", ticket)
		}
	})
}
