package publish

import (
	"context"
	"sync"
	"time"
)

// rotationWait is the least time between two fetches of an issuer's keys that are
// asked for by tokens, whoever makes up the ids of keys.
const rotationWait = 30 * time.Second

// Rotations have keys fetched anew because a token was signed with one that is
// not known.
type Rotations struct {
	fetch   func(ctx context.Context, url string) // returns when what was fetched is in force
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu  sync.Mutex
	row map[string]*rotation // by URL
}

type rotation struct {
	began time.Time
	over  chan struct{}
}

func newRotations(fetch func(context.Context, string)) *Rotations {
	r := &Rotations{fetch: fetch, row: map[string]*rotation{}}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// of returns what asks for the keys at url. All who ask within the same while wait
// for one fetch.
func (r *Rotations) of(url string) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-r.begin(url):
		case <-ctx.Done():
		}
	}
}

func (r *Rotations) begin(url string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if last := r.row[url]; last != nil && now.Sub(last.began) < rotationWait {
		return last.over
	}
	turn := &rotation{began: now, over: make(chan struct{})}
	r.row[url] = turn
	if r.life.Err() != nil {
		close(turn.over)
		return turn.over
	}
	r.running.Go(func() {
		defer close(turn.over)
		r.fetch(r.life, url)
	})
	return turn.over
}

// close ends what is under way, and waits for it.
func (r *Rotations) close() {
	r.mu.Lock() // from here on, nothing begins
	r.end()
	r.mu.Unlock()
	r.running.Wait()
}

// renewKeys fetches what is at url, and has it put into force.
func (p *Publisher) renewKeys(ctx context.Context, url string) {
	p.sources.Renew(ctx, url)
	if ctx.Err() == nil {
		p.reload(ctx, "a token has a key that is not known", true)
	}
}
