package http_test

import (
	"sync"
	"testing"

	h2 "golang.org/x/net/http2"
)

// A target that takes few requests at once gets many: each is served, by as many
// connections as that takes.
func TestManyRequestsToATargetThatAllowsFewStreams(t *testing.T) {
	const allowed, many = 2, 100
	address := target2(t, func(p *peer) {
		var mu sync.Mutex
		open := 0
		var serving sync.WaitGroup
		defer serving.Wait()
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			if f.kind != h2.FrameHeaders {
				continue
			}
			mu.Lock()
			open++
			tooMany := open > allowed
			if tooMany {
				open--
			}
			mu.Unlock()
			if tooMany {
				p.reset(f.id, h2.ErrCodeRefusedStream) // RFC 9113 section 5.1.2
				continue
			}
			serving.Go(func() {
				p.head(f.id, false, ":status", "200")
				mu.Lock()
				defer mu.Unlock()
				open--
				p.data(f.id, true, "ok")
			})
		}
	}, h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: allowed})
	b := start(t, []string{address}, pair{v2, v2}.setup)
	c := b.dial2()
	for i := range uint32(many) {
		c.head(2*i+1, true, post2...)
	}
	for range many {
		if res := b.result(); res.Denial != nil || res.Status != 200 {
			t.Errorf("%d, %v", res.Status, res.Denial)
		}
	}
}
