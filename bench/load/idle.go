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
	for _, d := range all {
		d.until = time.Time{} // silence is what it is for
	}
	j := &idle{spec: s, check: newExchange(requestOf(s), s.Answer)}
	if j.conns, err = openAll(all, j.check.request, s.Answer); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// openAll makes a connection with each dialer, with a request on it. Those that
// were made are returned with an error too; the others are nil.
func openAll(all []*dialer, request []byte, answer int) ([]*tls.Conn, error) {
	conns, errs := make([]*tls.Conn, len(all)), make([]error, openers)
	var opening sync.WaitGroup
	for o := range openers {
		opening.Go(func() {
			x := newExchange(request, answer)
			for i := o; i < len(all) && errs[o] == nil; i += openers {
				if conns[i], errs[o] = all[i].dial(); errs[o] == nil {
					errs[o] = x.on(conns[i])
				}
			}
		})
	}
	opening.Wait()
	return conns, errors.Join(errs...)
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
