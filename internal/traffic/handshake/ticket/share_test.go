package ticket

import (
	"crypto/rand"
	"testing"
	"time"
)

func made(created time.Time) (k Key) {
	rand.Read(k.Secret[:])
	k.Created = created
	return k
}

func share(t *testing.T, k *Keys, keys ...Key) {
	t.Helper()
	s, err := NewShared(keys...)
	if err != nil {
		t.Fatal(err)
	}
	k.Share(s)
}

func TestSharedKeysRotate(t *testing.T) {
	start := time.Now()
	node := func() *Keys { return NewKeys(Config{Lifetime: time.Hour, Now: func() time.Time { return start }}) }
	one, two := node(), node()
	var binding Binding
	seal := func(k *Keys, at time.Duration) []byte {
		return k.Seal(sealed(start.Add(at), 100*time.Hour, "s"), &binding, start.Add(at))
	}
	opens := func(what string, k *Keys, ticket []byte, at time.Duration, want bool) {
		t.Helper()
		if _, ok := k.Open(ticket, &binding, start.Add(at)); ok != want {
			t.Errorf("%s: opens %t, want %t", what, ok, want)
		}
	}
	own := seal(one, 0)
	first, second := made(start), made(start.Add(time.Hour))
	share(t, one, first)
	share(t, two, second, first) // in any order
	opens("a ticket from before", one, own, 0, false)
	opens("the other node's", two, seal(one, time.Minute), time.Minute, true)
	opens("the other way round", one, seal(two, time.Minute), time.Minute, true)

	// The second key's time has come; one node does not know it yet.
	foreign := seal(two, 61*time.Minute)
	opens("of a key that is not there", one, foreign, 61*time.Minute, false)
	share(t, one, first, second)
	opens("of a key that has come", one, foreign, 61*time.Minute, true)
	ahead := made(start.Add(3 * time.Hour))
	share(t, two, second, ahead)
	third := node()
	share(t, third, ahead)
	opens("of a clock that is ahead", two, seal(third, 3*time.Hour), 62*time.Minute, true)
	share(t, third, first)
	opens("of a key that was taken away", two, seal(third, 0), 62*time.Minute, false)

	// Nobody brings another one: the node goes on by itself.
	alone := seal(one, 3*time.Hour)
	opens("a node's own", one, alone, 3*time.Hour, true)
	opens("which it has alone", two, alone, 3*time.Hour, false)
	opens("and the shared key's time is over", one, foreign, 3*time.Hour, false)
}

func TestKeysThatCannotBeSharedAreRefused(t *testing.T) {
	now := time.Now()
	good := made(now)
	for name, keys := range map[string][]Key{
		"none": nil, "too many": make([]Key, mostShared+1), "twice": {good, good}, "no secret": {{Created: now}}, "no date": {{Secret: good.Secret}},
	} {
		if _, err := NewShared(keys...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestTheSameKeysAgainChangeNothing(t *testing.T) {
	now := time.Now()
	k := NewKeys(Config{Now: func() time.Time { return now }})
	var binding Binding
	opens := func(what string, ticket []byte, want bool) {
		t.Helper()
		if _, ok := k.Open(ticket, &binding, now); ok != want {
			t.Errorf("%s: opens %t, want %t", what, ok, want)
		}
	}
	seal := func() []byte { return k.Seal(sealed(now, time.Hour, "s"), &binding, now) }
	own := seal()
	k.Share(nil)
	opens("none were shared, and none are", own, true)

	over := made(now.Add(-25 * time.Hour))
	share(t, k, over)
	opens("of the node's own key before", own, false)
	alone := seal() // of a random key, since the shared one's time is over
	share(t, k, over)
	opens("the same are shared again", alone, true)

	k.Share(nil)
	opens("none are shared any more", alone, false)
	opens("its own again", seal(), true)
}
