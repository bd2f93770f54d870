package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd opens a database, and has some callers wait to write while somebody
// writes. What each of them wrote is told by said.
type crowd struct {
	*db
	t       *testing.T
	release func()
	callers sync.WaitGroup
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	d := &db{path: filepath.Join(t.TempDir(), "devices.db"), queue: queue{leads: make(chan struct{}, 1)}}
	if err := d.open(t.Context(), Config{Path: d.path, BusyTimeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() })
	if _, err := d.writer.Exec(`CREATE TABLE said (word TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	c, writes, more := &crowd{db: d, t: t}, make(chan struct{}), make(chan struct{})
	c.callers.Go(func() {
		err := d.write(t.Context(), "holding", func(context.Context, *sql.Tx) error {
			close(writes)
			<-more
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-writes
	c.release = func() { close(more); c.callers.Wait() }
	return c
}

func say(word string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO said (word) VALUES (?)`, word)
		return err
	}
}

// waits has a caller write, and returns when it is in the queue.
func (c *crowd) waits(ctx context.Context, alone bool, do func(context.Context, *sql.Tx) error, after func(error)) {
	c.t.Helper()
	before := c.length()
	write := c.write
	if alone {
		write = c.writeAlone
	}
	c.callers.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				after(fmt.Errorf("panic: %v", p))
			}
		}()
		after(write(ctx, "saying", do))
	})
	for end := time.Now().Add(20 * time.Second); c.length() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("it does not wait")
		}
	}
}

func (c *crowd) length() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

func (c *crowd) said() (words []string) {
	c.t.Helper()
	rows, err := c.reader.Query(`SELECT word FROM said ORDER BY word`)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var word string
		if err := rows.Scan(&word); err != nil {
			c.t.Fatal(err)
		}
		words = append(words, word)
	}
	return words
}

func TestThoseWhoWaitAreWrittenTogetherAndOneThatFailsTakesNobodyAlong(t *testing.T) {
	c := newCrowd(t)
	refused := errors.New("not this one")
	var mu sync.Mutex
	answers := map[string]error{}
	answer := func(who string) func(error) {
		return func(err error) {
			mu.Lock()
			defer mu.Unlock()
			answers[who] = err
		}
	}
	gone, leave := context.WithCancel(t.Context())
	c.waits(t.Context(), false, say("first"), answer("first"))
	c.waits(t.Context(), false, func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(say("half")(ctx, tx), refused)
	}, answer("fails"))
	c.waits(t.Context(), false, say("first"), answer("again"))
	c.waits(gone, false, say("gone"), answer("gone"))
	c.waits(t.Context(), false, func(context.Context, *sql.Tx) error { panic("oh") }, answer("panics"))
	c.waits(t.Context(), false, func(ctx context.Context, tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM said`).Scan(&n); err != nil {
			return err
		}
		if words := c.said(); n != 1 || len(words) != 0 {
			t.Errorf("the transaction has %d words, others see %q: they are not written together", n, words)
		}
		return say("last")(ctx, tx)
	}, answer("last"))
	c.waits(t.Context(), true, say("alone"), answer("alone"))
	leave()
	for c.length() != 6 { // it left
		time.Sleep(time.Millisecond)
	}
	c.release()

	if got := c.said(); !slices.Equal(got, []string{"alone", "first", "last"}) {
		t.Errorf("%q were written", got)
	}
	for _, who := range []string{"first", "last", "alone"} {
		if answers[who] != nil {
			t.Errorf("%s: %v", who, answers[who])
		}
	}
	for who, want := range map[string]string{
		"fails": "not this one", "again": "UNIQUE", "gone": "context canceled", "panics": "panic: oh",
	} {
		if err := answers[who]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", who, err, want)
		}
	}
}

func TestNobodyIsToldOfWhatTheCommitDidNotTake(t *testing.T) {
	c := newCrowd(t)
	var mu sync.Mutex
	var answers []error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, err)
	}
	for i := range 3 {
		c.waits(t.Context(), false, func(ctx context.Context, tx *sql.Tx) error {
			if i == 1 { // as SQLite does when the disk is full
				if _, err := tx.ExecContext(ctx, `ROLLBACK`); err != nil {
					return err
				}
				return errors.New("the disk is full")
			}
			return say(fmt.Sprint(i))(ctx, tx)
		}, note)
	}
	c.release()
	if got := c.said(); len(got) != 0 {
		t.Errorf("%q were written", got)
	}
	for _, err := range answers {
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("somebody was answered %v", err)
		}
	}
	if err := c.write(t.Context(), "saying", say("later")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
