package shares

import (
	"math"
	"testing"
	"time"
)

func TestAShareGrows(t *testing.T) {
	const grows = 100 * time.Second
	g, targets := newGroup(Rules{SlowStart: grows}, 2)
	late := checked()
	late.Terms.Weight = 4
	g.Apply(Rules{SlowStart: grows}, append(targets, late), start)
	good(t, g, late, start)
	for _, target := range targets {
		if d := g.Describe(target, start); d.Share != 1 || d.SlowStart {
			t.Errorf("one that was there before: %+v", d)
		}
	}
	for _, c := range []struct {
		after time.Duration
		share float64
	}{{0, .05}, {time.Second, .05}, {10 * time.Second, .1}, {50 * time.Second, .5}, {99 * time.Second, .99}, {grows, 1}} {
		now := start.Add(c.after)
		if d := g.Describe(late, now); d.Share != c.share || d.SlowStart != (c.share < 1) {
			t.Errorf("after %v: %+v, want a share of %v", c.after, d, c.share)
		}
		if w := g.Weight(late, now); math.Abs(w-4*c.share) > 1e-9 {
			t.Errorf("after %v: weight %v, want %v of 4", c.after, w, c.share)
		}
		if r := g.Review(now); !r.Changed || r.Next != grows/rampSteps {
			t.Errorf("after %v: %+v", c.after, r)
		}
	}
	if r := g.Review(start.Add(grows)); r.Changed || r.Next < time.Hour {
		t.Errorf("once it has its share there is something to do: %+v", r)
	}
}

func TestNobodyStartsSlowlyAlone(t *testing.T) {
	g, only, other := &Group{}, checked(), checked()
	rules := Rules{SlowStart: time.Hour}
	g.Apply(rules, []*Target{only, other}, start)
	bad(t, g, only, start)
	bad(t, g, other, start)
	good(t, g, only, start)
	if d := g.Describe(only, start); d.SlowStart {
		t.Errorf("the only healthy target: %+v", d)
	}
	good(t, g, other, start)
	if d := g.Describe(other, start); !d.SlowStart {
		t.Errorf("one beside it: %+v", d)
	}
	bad(t, g, only, start)
	third := checked()
	g.Apply(rules, []*Target{only, other, third}, start)
	good(t, g, third, start)
	if d := g.Describe(third, start); d.SlowStart {
		t.Errorf("one beside another that has not its whole share: %+v", d)
	}
}

func TestThoseThatComeTogetherBeginTogether(t *testing.T) {
	g, a, b := &Group{}, checked(), checked()
	rules := Rules{SlowStart: time.Hour}
	g.Apply(rules, []*Target{a, b}, start)
	good(t, g, a, start)
	good(t, g, b, start)
	unchecked := NewTarget(nil, start)
	unchecked.Terms.Weight = 1
	g.Apply(rules, []*Target{a, b, unchecked}, start)
	for i, slow := range []bool{false, false, true} {
		if d := g.Describe(g.targets[i], start); d.SlowStart != slow {
			t.Errorf("target %d: %+v", i, d)
		}
	}
	later := start.Add(time.Hour)
	g.Review(later)
	g.Apply(rules, []*Target{a, b, unchecked}, later)
	if d := g.Describe(unchecked, later); d.SlowStart {
		t.Errorf("one that stays begins again: %+v", d)
	}
}
