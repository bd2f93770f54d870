package health

import (
	"context"
	"math/rand/v2"
	"time"
)

// Watch checks the target at address until ctx ends, at once for the first
// time, and hands every result to report on the calling goroutine. It returns
// when ctx has ended and no check is under way.
func Watch(ctx context.Context, checker Checker, c Config, address string, report func(Result)) {
	c = c.WithDefaults()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		r := once(ctx, checker, c.Timeout, address)
		if ctx.Err() != nil {
			return // the check was cut short: it says nothing
		}
		report(r)
		timer.Reset(gap(c.Interval, first, rand.Float64()) - time.Since(start))
	}
}

func once(ctx context.Context, checker Checker, timeout time.Duration, address string) Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return checker.Check(ctx, address)
}

// gap is the time from the start of a check to that of the next. chance is
// uniform in [0, 1). Targets that are registered together are all checked at
// once, so the second check is spread over a whole interval, from half of it
// to one and a half; the later ones by a tenth to either side, so that they do
// not fall into step again.
func gap(interval time.Duration, first bool, chance float64) time.Duration {
	spread := 0.2
	if first {
		spread = 1
	}
	return interval + time.Duration((chance-0.5)*spread*float64(interval))
}
