package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
)

// One writes at a time, and every commit waits for the disk. So those who come
// while another one writes are written together, in one transaction: whoever is
// let in first writes for all that wait. Each has a savepoint, so that one who
// fails takes nothing of the others along; nobody is answered before the commit.

// mostTogether bounds how many are written in one transaction.
const mostTogether = 64

// A queue is those who want to write.
type queue struct {
	leads chan struct{} // has one element while somebody writes

	mu      sync.Mutex
	waiting []*change
}

// A change is what one caller wants written. It is done again by nobody.
type change struct {
	ctx   context.Context
	doing string
	do    func(ctx context.Context, tx *sql.Tx) error
	alone bool // it takes long

	done     chan struct{}
	err      error
	panicked any
}

// write runs do in a transaction, perhaps with others in the same one. Inside it
// statements are not interrupted: do looks at ctx where it has much to do.
func (d *db) write(ctx context.Context, doing string, do func(ctx context.Context, tx *sql.Tx) error) error {
	return d.await(&change{ctx: ctx, doing: doing, do: do})
}

// writeAlone is write for what would have others wait for their answer.
func (d *db) writeAlone(ctx context.Context, doing string, do func(ctx context.Context, tx *sql.Tx) error) error {
	return d.await(&change{ctx: ctx, doing: doing, do: do, alone: true})
}

func (d *db) await(c *change) error {
	if err := d.there(c.doing); err != nil {
		return err
	}
	c.done = make(chan struct{})
	d.push(c)
	select {
	case <-c.done:
	case d.leads <- struct{}{}:
		for !c.over() {
			d.together(d.take())
		}
		<-d.leads
	case <-c.ctx.Done():
		if d.leave(c) {
			return fault(c.doing, c.ctx.Err())
		}
		<-c.done // somebody is writing it
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

func (c *change) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (q *queue) push(c *change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, c)
}

// leave reports whether c was still waiting.
func (q *queue) leave(c *change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// take returns the next ones that may be written together.
func (q *queue) take() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < min(len(q.waiting), mostTogether) && !q.waiting[n].alone {
		n++
	}
	n = min(max(n, 1), len(q.waiting)) // one that takes long, when it is the next
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
}

// together writes changes in one transaction, and answers whoever waits for them.
func (d *db) together(changes []*change) {
	if len(changes) == 1 {
		c := changes[0]
		c.err = d.single(c)
	} else if cause := d.several(changes); cause != nil {
		for _, c := range changes {
			if c.err == nil {
				c.err = fault(c.doing, cause)
			}
		}
	}
	for _, c := range changes {
		close(c.done)
	}
}

func (d *db) single(c *change) error {
	tx, err := d.writer.BeginTx(c.ctx, nil)
	if err != nil {
		return fault(c.doing, err)
	}
	if err := c.run(tx); err != nil {
		return errors.Join(fault(c.doing, err), rollback(tx))
	}
	// A file that was moved away takes commits that nobody will find again.
	if err := d.there(c.doing); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return fault(c.doing, tx.Commit())
}

// several returns why nothing of all was written.
func (d *db) several(changes []*change) error {
	tx, err := d.writer.Begin()
	if err != nil {
		return err
	}
	for _, c := range changes {
		if _, err := tx.Exec(`SAVEPOINT one`); err != nil {
			return errors.Join(err, rollback(tx))
		}
		if err := c.run(tx); err != nil {
			c.err = fault(c.doing, err)
			if _, undone := tx.Exec(`ROLLBACK TO one`); undone != nil { // SQLite has ended it all: the disk is full
				return errors.Join(err, rollback(tx))
			}
		}
		if _, err := tx.Exec(`RELEASE one`); err != nil {
			return errors.Join(err, rollback(tx))
		}
	}
	if err := d.there(changes[0].doing); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// run makes the change, on the goroutine of whoever writes. It fails if its own
// caller does not wait any more.
func (c *change) run(tx *sql.Tx) (err error) {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if c.panicked = recover(); c.panicked != nil {
			err = errors.New("it panicked")
		}
	}()
	if err := c.do(context.WithoutCancel(c.ctx), tx); err != nil {
		return err
	}
	return c.ctx.Err()
}
