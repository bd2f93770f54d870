package background

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkPausesByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			Work
			slice, pause time.Duration
		}{{Work{}, slice, pause}, {Work{Urgent: true}, urgentSlice, urgentPause}} {
			w := c.Work
			for range 1000 { // which take no time here
				if w.Pause() {
					t.Fatal("a pause before there was any work")
				}
			}
			for range 3 {
				time.Sleep(c.slice + 1)
				before := time.Now()
				if !w.Pause() || time.Since(before) != c.pause {
					t.Errorf("work of %v was followed by a pause of %v, want %v", c.slice, time.Since(before), c.pause)
				}
				if w.Pause() {
					t.Error("a pause after a pause")
				}
			}
		}
	})
}
