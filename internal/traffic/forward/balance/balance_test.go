package balance_test

import (
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/balance/balancetest"
)

func TestAlgorithmsConform(t *testing.T) {
	for _, name := range balance.Names {
		t.Run(name, func(t *testing.T) { balancetest.Run(t, name) })
	}
}

func TestRoundRobinTakesTurns(t *testing.T) {
	a, err := balance.New("")
	if err != nil {
		t.Fatal(err)
	}
	p := a.Over(balance.Set{Members: balancetest.Members(3)})
	pick := func(n int, tried ...int) (picked []int) {
		var r balance.Request
		for _, i := range tried {
			r.Tried.Add(i)
		}
		for range n {
			picked = append(picked, p.Pick(r))
		}
		return picked
	}
	if got, want := pick(7), []int{0, 1, 2, 0, 1, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("picked %v, want %v", got, want)
	}
	if got, want := pick(3, 1), []int{2, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("without 1 picked %v, want %v", got, want)
	}
	p = a.Over(balance.Set{Members: balancetest.Members(4)})
	if got, want := pick(4), []int{2, 3, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("over another set picked %v, want %v: the turn goes on", got, want)
	}
}

func TestTriedIsBounded(t *testing.T) {
	var tried balance.Tried
	for i := range balance.MaxTried {
		if tried.Has(i) || !tried.Add(i) || !tried.Has(i) {
			t.Fatalf("index %d: %v", i, tried)
		}
	}
	if tried.Add(100) || tried.Has(100) {
		t.Errorf("an index more than there is room for went in: %v", tried)
	}
	if !tried.Add(0) {
		t.Errorf("an index that is in the set needs no room: %v", tried)
	}
}

func TestUnknownAlgorithm(t *testing.T) {
	if _, err := balance.New("random"); err == nil || !strings.Contains(err.Error(), `"random", want round_robin, least`) {
		t.Errorf("got %v", err)
	}
}
