package shares

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func serve(targets []*Target, failing map[int]int) {
	for i, target := range targets {
		for n := range 100 {
			status := 200
			if n < failing[i] {
				status = 500
			}
			target.Report(status)
		}
	}
}

func TestAnAnomalousTargetLosesHalfOfItsShare(t *testing.T) {
	g, targets := newGroup(Rules{AnomalyMitigation: true}, 4)
	now := start
	judge := func() Review {
		now = now.Add(judgements)
		return g.Review(now)
	}
	for i, want := range []float64{1. / 2, 1. / 4, 1. / 8, 1. / 16, 1. / 16} {
		serve(targets, map[int]int{2: 50})
		r := judge()
		if r.Changed != (i < 4) || r.Next != judgements || r.Normal != nil || slices.Equal(r.Odd, []int{2}) != (i == 0) {
			t.Errorf("judgement %d: %+v", i, r)
		}
		if d := g.Describe(targets[2], now); d.Share != want || !d.Anomalous || g.Weight(targets[2], now) != want {
			t.Errorf("judgement %d: %+v, want a share of %v", i, d, want)
		}
	}
	if r := g.Review(now.Add(judgements - time.Second)); r.Changed || r.Next != time.Second {
		t.Errorf("between judgements: %+v", r)
	}
	for i, want := range []float64{1. / 8, 1. / 4, 1. / 2, 1} {
		serve(targets, nil)
		if i == 1 {
			targets[2].before = tally{targets[2].exchanges.Load(), targets[2].errors.Load()} // it had nothing to do
		}
		r := judge()
		if !r.Changed || r.Odd != nil || slices.Equal(r.Normal, []int{2}) != (want == 1) {
			t.Errorf("with a share of %v: %+v", want, r)
		}
		if d := g.Describe(targets[2], now); d.Share != want || d.Anomalous != (want < 1) {
			t.Errorf("%+v, want a share of %v", d, want)
		}
	}
}

func TestOfTwoTargetsNoneIsAnomalous(t *testing.T) {
	for n := 2; n <= fewestPeers; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			g, targets := newGroup(Rules{AnomalyMitigation: true}, n)
			serve(targets, map[int]int{0: 100})
			if r := g.Review(start); (len(r.Odd) > 0) != (n >= fewestPeers) {
				t.Errorf("of %d: %+v", n, r)
			}
		})
	}
}

func TestOfATargetThatDidLittleNothingIsKnown(t *testing.T) {
	for _, c := range []struct {
		tries int
		odd   []int
	}{{fewestTries - 1, nil}, {fewestTries, []int{0}}} {
		g, targets := newGroup(Rules{AnomalyMitigation: true}, 4)
		serve(targets[1:], nil)
		for range c.tries {
			targets[0].Report(Failed)
		}
		if r := g.Review(start); !slices.Equal(r.Odd, c.odd) {
			t.Errorf("after %d failures: %+v", c.tries, r)
		}
	}
}

func TestWithoutMitigationALostShareComesBack(t *testing.T) {
	g, targets := newGroup(Rules{AnomalyMitigation: true}, 3)
	serve(targets, map[int]int{0: 100})
	g.Review(start)
	g.Apply(Rules{}, targets, start)
	now := start.Add(judgements)
	if r := g.Review(now); !r.Changed || !slices.Equal(r.Normal, []int{0}) || g.Describe(targets[0], now).Share != 1 {
		t.Errorf("%+v, %+v", r, g.Describe(targets[0], now))
	}
}

func TestAllThatFailAlikeKeepTheirShares(t *testing.T) {
	if anomalous(tally{100, 50}, tally{300, 150}) || anomalous(tally{100, 5}, tally{300, 0}) || anomalous(tally{100, 100}, tally{}) {
		t.Error("who fails as the others do, or hardly ever, or alone, is no anomaly")
	}
	if !anomalous(tally{100, 50}, tally{300, 3}) {
		t.Error("half of its exchanges against one in a hundred is one")
	}
}
