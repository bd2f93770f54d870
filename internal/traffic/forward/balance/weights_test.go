package balance_test

import (
	"math"
	"testing"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/balance/balancetest"
	"pgregory.net/rapid"
)

func over(t testing.TB, name string, s balance.Set) balance.Picker {
	t.Helper()
	a, err := balance.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return a.Over(s)
}

func TestRoundRobinByWeightIsSmooth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "members")
		weights, sum := make([]float64, n), 0.0
		for i := range weights {
			weights[i] = float64(rapid.IntRange(1, 100).Draw(t, "weight"))
			sum += weights[i]
		}
		a, err := balance.New("round_robin")
		if err != nil {
			t.Fatal(err)
		}
		p := a.Over(balance.Set{Members: balancetest.Members(n), Weights: weights})
		picked := make([]float64, n)
		for turn := 1; turn <= 3000; turn++ {
			picked[p.Pick(balance.Request{})]++
			for i, w := range weights {
				// The discrepancy of the golden ratio's multiples grows with the
				// logarithm of their number.
				if off := math.Abs(picked[i] - float64(turn)*w/sum); off > 4 {
					t.Fatalf("after %d turns member %d with weight %v of %v had %v: %.1f beside its share", turn, i, w, sum, picked[i], off)
				}
			}
		}
	})
}

func TestLeastOutstandingRequestsFindsTheIdleOne(t *testing.T) {
	members := balancetest.Members(10)
	for i, m := range members {
		m.(*balancetest.Target).Load.Store(5)
		if i == 7 {
			m.(*balancetest.Target).Load.Store(2)
		}
	}
	p := over(t, "least_outstanding_requests", balance.Set{Members: members})
	for range 20 {
		if i := p.Pick(balance.Request{}); i != 7 {
			t.Fatalf("picked member %d, which has more to do than member 7", i)
		}
	}
	weights := []float64{1, 1, 1, 9, 1, 1, 1, 1, 1, 1}
	p = over(t, "least_outstanding_requests", balance.Set{Members: members, Weights: weights})
	if i := p.Pick(balance.Request{}); i != 3 {
		t.Errorf("picked member %d: 5 exchanges at weight 9 are less than 2 at weight 1", i)
	}
}

func TestLeastOutstandingRequestsKeepsManyEven(t *testing.T) {
	const n, each = 1000, 20
	members := balancetest.Members(n)
	picked := balancetest.Spread(over(t, "least_outstanding_requests", balance.Set{Members: members}), members, n*each)
	for i, got := range picked {
		if got > each+10 {
			t.Errorf("member %d has %d under way, the average is %d", i, got, each)
		}
	}
}
