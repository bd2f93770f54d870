package handshake

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"
)

func sealed(first time.Time, life time.Duration, state string) sealedSession {
	return sealedSession{first: first.Truncate(time.Second), until: first.Truncate(time.Second).Add(life), state: []byte(state)}
}

func TestATicketOpensOnlyWhereItWasSealed(t *testing.T) {
	now := time.Now()
	keys, others := NewTicketKeys(TicketKeysConfig{}), NewTicketKeys(TicketKeysConfig{})
	mine, foreign := sha256.Sum256([]byte("mine")), sha256.Sum256([]byte("foreign"))
	want := sealed(now, time.Hour, "state")
	ticket := keys.seal(want, &mine, now)

	got, ok := keys.open(ticket, &mine, now)
	if !ok || !got.first.Equal(want.first) || !got.until.Equal(want.until) || !bytes.Equal(got.state, want.state) {
		t.Fatalf("open: %v, %v; want %v", got, ok, want)
	}
	if _, ok := keys.open(ticket, &foreign, now); ok {
		t.Error("it opens under another binding")
	}
	if _, ok := others.open(ticket, &mine, now); ok {
		t.Error("it opens with other keys")
	}
	if _, ok := keys.open(ticket, &mine, want.until); ok {
		t.Error("it opens at its end")
	}
	for i := range ticket {
		bad := bytes.Clone(ticket)
		bad[i] ^= 1
		if _, ok := keys.open(bad, &mine, now); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
		if _, ok := keys.open(ticket[:i], &mine, now); ok {
			t.Errorf("its first %d bytes open", i)
		}
	}
	if bytes.Equal(ticket, keys.seal(want, &mine, now)) {
		t.Error("two tickets of one session are the same: an observer can link connections")
	}
	if _, ok := keys.open(deadTicket(), &mine, now); ok {
		t.Error("a dead ticket opens")
	}
	if got := keys.seal(sealed(now, time.Hour, string(make([]byte, maxTicket))), &mine, now); !bytes.Equal(got, deadTicket()) {
		t.Errorf("a session beyond the limit makes a ticket of %d bytes", len(got))
	}
}

func TestKeysAreReplacedAndForgotten(t *testing.T) {
	start := time.Now()
	clock := func() time.Time { return start }
	keys := NewTicketKeys(TicketKeysConfig{Lifetime: time.Hour, Now: clock})
	var binding [32]byte
	ticket := keys.seal(sealed(start, 100*time.Hour, "s"), &binding, start)
	for _, step := range []struct {
		at    time.Duration
		opens bool
	}{{0, true}, {59 * time.Minute, true}, {61 * time.Minute, true}, {119 * time.Minute, true}, {2 * time.Hour, false}} {
		now := start.Add(step.at)
		keys.seal(sealed(now, time.Hour, "other"), &binding, now) // rotates when due
		if _, ok := keys.open(ticket, &binding, now); ok != step.opens {
			t.Errorf("after %v: opens %v, want %v", step.at, ok, step.opens)
		}
		if n := len(*keys.ring.Load()); n > 2 {
			t.Errorf("after %v: %d keys, want at most 2", step.at, n)
		}
	}
	if id := (*keys.ring.Load())[0].id; id == ticketKeyID(ticket[1:ticketHeader]) {
		t.Error("the first key still seals")
	}
	// A listener that nobody used for a week opens nothing old, rotated or not.
	idle := NewTicketKeys(TicketKeysConfig{Lifetime: time.Hour, Now: clock})
	ticket = idle.seal(sealed(start, 100*time.Hour, "s"), &binding, start)
	if _, ok := idle.open(ticket, &binding, start.Add(7*24*time.Hour)); ok {
		t.Error("a key opens a week after it was made")
	}
}

func FuzzTicketOpen(f *testing.F) {
	now := time.Now()
	keys := NewTicketKeys(TicketKeysConfig{})
	binding := sha256.Sum256([]byte("b"))
	good := keys.seal(sealed(now, time.Hour, "state"), &binding, now)
	for _, s := range [][]byte{nil, {0}, good, good[:ticketOverhead], append(bytes.Clone(good), 0), make([]byte, maxTicket+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ticket []byte) {
		if _, ok := keys.open(ticket, &binding, now); ok && !bytes.Equal(ticket, good) {
			t.Fatalf("a forged ticket opens: %x", ticket)
		}
	})
}
