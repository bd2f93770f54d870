package publish

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However many tokens with made-up keys come, the issuer is asked twice a minute
// at most, and whoever comes meanwhile waits for that.
func TestAnIssuerIsAskedForItsKeysOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, answered atomic.Int32
		r := newRotations(func(context.Context, string) {
			asked.Add(1)
			time.Sleep(time.Second) // of the bubble
			answered.Add(1)
		})
		renew := r.of("https://id.example.com/jwks.json")
		many := func() {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if renew(t.Context()); answered.Load() != asked.Load() {
						t.Error("did not wait for the answer")
					}
				})
			}
			all.Wait()
		}
		for range 3 {
			many()
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times at once", n)
		}
		r.of("https://other.example.com/jwks.json")(t.Context())
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times, another issuer included", n)
		}
		time.Sleep(rotationWait)
		many()
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times, a while later included", n)
		}
		time.Sleep(rotationWait)
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		before := time.Now()
		if renew(impatient); time.Since(before) != 0 {
			t.Error("waited for longer than it wanted to")
		}
		if r.close(); answered.Load() != 4 {
			t.Errorf("%d answers when it was closed, want 4", answered.Load())
		}
		time.Sleep(rotationWait)
		if renew(t.Context()); asked.Load() != 4 {
			t.Error("asked after it was closed")
		}
	})
}
