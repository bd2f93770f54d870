package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An idle job opens connections, each with one request, and lets them be silent.
type idle struct {
	spec  Spec
	conns []*tls.Conn
	check *exchange
}

// openers is how many connections are being made at a time.
const openers = 16

func beginIdle(s Spec) (job, error) {
	all, err := dialers(s, s.Connections)
	if err != nil {
		return nil, err
	}
	j := &idle{spec: s, conns: make([]*tls.Conn, len(all)), check: newExchange(requestOf(s), s.Answer)}
	errs := make([]error, openers)
	var opening sync.WaitGroup
	for o := range openers {
		opening.Go(func() {
			x := newExchange(j.check.request, s.Answer)
			for i := o; i < len(all) && errs[o] == nil; i += openers {
				all[i].until = time.Time{} // silence is what it is for
				if j.conns[i], errs[o] = all[i].dial(); errs[o] == nil {
					errs[o] = x.on(j.conns[i])
				}
			}
		})
	}
	opening.Wait()
	if err := errors.Join(errs...); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func (j *idle) do() Result {
	time.Sleep(j.spec.Duration)
	return Result{Operations: int64(len(j.conns)), Connections: len(j.conns), Elapsed: j.spec.Duration}
}

// finish asks on every connection once more: memory that was saved by closing
// connections would be no merit.
func (j *idle) finish() error {
	defer j.close()
	for i, c := range j.conns {
		c.SetDeadline(time.Now().Add(patience))
		if err := j.check.on(c); err != nil {
			return fmt.Errorf("connection %d of %d did not outlive the silence: %w", i+1, len(j.conns), err)
		}
	}
	return nil
}

func (j *idle) close() {
	for _, c := range j.conns {
		if c != nil {
			c.NetConn().Close()
		}
	}
}
