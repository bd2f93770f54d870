package traffic

import (
	"sync"
	"sync/atomic"
)

// A crew does the jobs of one who has many, side by side: the requests of an HTTP/2
// connection, the connections of a listener. A goroutine that has done one is kept for
// the next, because its stack has grown to the size it takes; a few are, until the
// crew is dismissed.
type crew struct {
	jobs    chan func()
	ready   atomic.Int32 // goroutines that wait for a job
	working sync.WaitGroup
}

// mostReady is how many goroutines of a crew wait for its next job.
const mostReady = 8

// do runs job on another goroutine. It is called by one goroutine at a time.
func (c *crew) do(job func()) {
	if c.jobs == nil {
		c.jobs = make(chan func())
	}
	select {
	case c.jobs <- job:
	default:
		jobs := c.jobs
		c.working.Go(func() {
			for job != nil {
				job()
				job = nil // and what it holds
				if c.ready.Add(1) > mostReady {
					c.ready.Add(-1)
					return
				}
				job = <-jobs
				c.ready.Add(-1)
			}
		})
	}
}

// dismiss ends the goroutines that wait.
func (c *crew) dismiss() {
	if c.jobs != nil {
		close(c.jobs)
		c.jobs = nil
	}
}

// wait returns when all jobs are done. Nothing is to be done any more.
func (c *crew) wait() {
	c.dismiss()
	c.working.Wait()
}
