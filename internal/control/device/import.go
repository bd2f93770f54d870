package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"countersign.dev/internal/control/device/spool"
	"countersign.dev/internal/store"
)

// An Import says how a list of devices is imported.
type Import struct {
	Format Format
	// Continue imports the lines that are good, batch by batch, though others are
	// not. Otherwise one bad line has nothing imported, and what is imported
	// becomes visible at once.
	Continue bool
	// Dir is for temporary files. Default os.TempDir.
	Dir string
	// Report, if not nil, is told of each line: the bad ones as they are found, the
	// others in the order of their ids. Without Continue, they hold only once
	// Import has returned without an error.
	Report func(Line)
	// Progress, if not nil, is told every so often how far the import is.
	Progress func(Summary)
}

// A Line is what became of one line.
type Line struct {
	Number  int
	ID      string        // empty where the line is bad
	Outcome store.Outcome // Refused, or what the store did
	Err     error         // of a bad line
}

// Refused is the outcome of a bad line.
const Refused store.Outcome = "refused"

// A Summary counts lines.
type Summary struct {
	Read      int // lines with a device, good or bad
	Refused   int
	Created   int
	Updated   int
	Unchanged int
}

// Import provisions the devices of a list, and brings those that are known up to
// date: their labels and notes, as far as the list has them. The state of a known
// device stays, for a change of state has a verb and a reason. To import a list
// again changes nothing.
//
// The error is ErrRefused where a line is bad (without Continue) or the file as a
// whole is; nothing was imported then.
func (r *Registry) Import(ctx context.Context, by Author, from io.Reader, how Import) (Summary, error) {
	if err := checkAuthor(by, "import"); err != nil {
		return Summary{}, err
	}
	i := &importing{how: how, spool: spool.New(how.Dir)}
	err := r.importAll(ctx, by, from, i)
	return i.sum, errors.Join(err, i.spool.Close())
}

type importing struct {
	how   Import
	spool *spool.Spool
	sum   Summary
}

// every is how many lines are read between two tellings of the progress.
const every = 10_000

// batchSize is how many devices are written at once, and with Continue in one
// transaction: others get their turn in between.
const batchSize = 2_000

func (r *Registry) importAll(ctx context.Context, by Author, from io.Reader, i *importing) error {
	if err := r.read(ctx, from, i); err != nil {
		return err
	}
	if err := i.findTwins(); err != nil {
		return err
	}
	if i.sum.Refused > 0 && !i.how.Continue {
		return refusal{fmt.Errorf("%d of %d lines are bad, and nothing was imported: correct them, or import the others with --continue", i.sum.Refused, i.sum.Read)}
	}
	i.progress()
	return r.store.Devices.Import(ctx, store.Import{
		Rows:   i.batches(ctx),
		Atomic: !i.how.Continue,
		Entry:  r.entry(by, "import"),
		Done:   i.done,
	})
}

// read checks every line, and spools the good ones.
func (r *Registry) read(ctx context.Context, from io.Reader, i *importing) error {
	lines, err := r.reader(i.how.Format, from)
	if err != nil {
		return refusal{err}
	}
	for {
		row, err := lines.next()
		var bad lineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			i.sum.Read++
			i.refuse(bad.line, bad.err)
		case err != nil:
			return fmt.Errorf("reading the list: %w; nothing was imported", err)
		default:
			i.sum.Read++
			if err := i.spool.Add(row); err != nil {
				return err
			}
		}
		if i.sum.Read%every == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			i.progress()
		}
	}
}

func (i *importing) refuse(line int, err error) {
	i.sum.Refused++
	if i.how.Report != nil {
		i.how.Report(Line{Number: line, Outcome: Refused, Err: err})
	}
}

func (i *importing) progress() {
	if i.how.Progress != nil {
		i.how.Progress(i.sum)
	}
}

// findTwins refuses every line but the first that names a device.
func (i *importing) findTwins() error {
	var last store.Row
	for row, err := range i.spool.All() {
		if err != nil {
			return err
		}
		if row.ID == last.ID {
			i.refuse(row.Line, fmt.Errorf("device %s is in line %d already", row.ID, last.Line))
			continue
		}
		last = row
	}
	return nil
}

// batches are the rows without twins.
func (i *importing) batches(ctx context.Context) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		var batch []store.Row
		last := ""
		for row, err := range i.spool.All() {
			if err == nil && len(batch) == 0 {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if row.ID == last {
				continue
			}
			last = row.ID
			if batch = append(batch, row); len(batch) == batchSize {
				if !yield(batch, nil) {
					return
				}
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

func (i *importing) done(rows []store.Row, outcomes []store.Outcome) {
	for n, o := range outcomes {
		switch o {
		case store.Created:
			i.sum.Created++
		case store.Updated:
			i.sum.Updated++
		case store.Unchanged:
			i.sum.Unchanged++
		}
		if i.how.Report != nil {
			i.how.Report(Line{Number: rows[n].Line, ID: rows[n].ID, Outcome: o})
		}
	}
	i.progress()
}
