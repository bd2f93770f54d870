package balance_test

import (
	"fmt"
	"slices"
	"testing"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/balance/balancetest"
)

const keys = 20_000

// homes returns where each of many keys is at home, by address.
func homes(t testing.TB, s balance.Set) []string {
	t.Helper()
	p := over(t, "hash", s)
	at := make([]string, keys)
	for k := range at {
		at[k] = s.Members[p.Pick(balance.Request{Key: balance.KeyOfString(fmt.Sprint(k))})].Address()
	}
	return at
}

func moved(a, b []string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestHashKeepsAKeyWhereItIs(t *testing.T) {
	members := balancetest.Members(50)
	before := homes(t, balance.Set{Members: members})
	backward := slices.Clone(members)
	slices.Reverse(backward)
	if n := moved(before, homes(t, balance.Set{Members: backward})); n != 0 {
		t.Errorf("%d of %d keys moved because the targets are listed in another order", n, keys)
	}
}

func TestHashMovesOnlyWhatItMust(t *testing.T) {
	const n = 50
	members := balancetest.Members(n + 1)
	before, after := homes(t, balance.Set{Members: members[:n]}), homes(t, balance.Set{Members: members})
	added := members[n].Address()
	for k := range before {
		if before[k] != after[k] && after[k] != added {
			t.Fatalf("key %d went from %s to %s, which was there before", k, before[k], after[k])
		}
	}
	if got, share := moved(before, after), keys/(n+1); got < share/2 || got > 2*share {
		t.Errorf("%d of %d keys moved to one of %d targets that is new, want about %d", got, keys, n+1, share)
	}
}

func TestHashGivesMoreToWhoHasMoreWeight(t *testing.T) {
	const n = 50
	members := balancetest.Members(n)
	weights := slices.Repeat([]float64{1}, n)
	before := homes(t, balance.Set{Members: members, Weights: weights})
	weights = slices.Clone(weights)
	weights[4] = 2
	after := homes(t, balance.Set{Members: members, Weights: weights})
	for k := range before {
		if before[k] != after[k] && after[k] != members[4].Address() {
			t.Fatalf("key %d went from %s to %s, whose weight is as before", k, before[k], after[k])
		}
	}
}

func TestHashBoundsTheLoadOfATarget(t *testing.T) {
	const n, requests = 20, 4000
	members := balancetest.Members(n)
	p := over(t, "hash", balance.Set{Members: members})
	one := balance.Request{Key: balance.KeyOfString("the client that sends everything")}
	home := p.Pick(one)
	for range requests {
		members[p.Pick(one)].(*balancetest.Target).Load.Add(1)
	}
	for i, m := range members {
		if load := m.InFlight(); load > requests/n*5/4+1 {
			t.Errorf("member %d has %d of %d under way: more than a quarter above its share, which is %d", i, load, requests, requests/n)
		}
	}
	for _, m := range members {
		m.(*balancetest.Target).Load.Store(0)
	}
	if got := p.Pick(one); got != home {
		t.Errorf("once it is over the client goes to %d, want %d as before", got, home)
	}
}

func TestHashLetsAFewOfOneKeyBeTogether(t *testing.T) {
	members := balancetest.Members(20)
	p := over(t, "hash", balance.Set{Members: members})
	first := p.Pick(balance.Request{Key: 5})
	for range 16 {
		i := p.Pick(balance.Request{Key: 5})
		if i != first {
			t.Fatalf("a client with few requests was sent to %d and %d", first, i)
		}
		members[i].(*balancetest.Target).Load.Add(1)
	}
}

func TestKeysAreAlikeOnEveryNode(t *testing.T) {
	// A change of these numbers would move every client of a group with hash to
	// another target when one node of several is upgraded.
	if got := balance.KeyOfString("192.0.2.1:80"); got != balance.KeyOf([]byte("192.0.2.1:80")) || got != 0x2ec5af5215a33b57 {
		t.Errorf("the key of 192.0.2.1:80 is %#x, want 0x2ec5af5215a33b57 as ever", uint64(got))
	}
	if balance.KeyOf(nil) != 0 || balance.KeyOfString("a") == balance.KeyOfString("b") || balance.KeyOfString("a").With(1) == balance.KeyOfString("a") {
		t.Error("keys of different things are alike")
	}
}

func BenchmarkPickOf10000(b *testing.B) {
	members := balancetest.Members(10_000)
	weights := make([]float64, len(members))
	for i := range weights {
		weights[i] = float64(1 + i%10)
	}
	for _, name := range balance.Names {
		b.Run(name, func(b *testing.B) {
			p := over(b, name, balance.Set{Members: members, Weights: weights, InFlight: func() int64 { return 0 }})
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for key := balance.Key(1); pb.Next(); key++ {
					p.Pick(balance.Request{Key: key})
				}
			})
		})
	}
}

func BenchmarkOver10000(b *testing.B) {
	members := balancetest.Members(10_000)
	for _, name := range balance.Names {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				over(b, name, balance.Set{Members: members})
			}
		})
	}
}
