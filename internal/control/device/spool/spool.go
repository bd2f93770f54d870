package spool

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// A Spool has the rows of an import in the order of their ids: in memory as long
// as they are few, else sorted piece by piece into a file. So an import needs the
// same little memory whatever its size, holds no lock of the database while it is
// read, sees which lines name the same device, and goes through the database's
// indexes in their order.
type Spool struct {
	dir   string
	limit int // rows in memory
	rows  []store.Row
	file  *os.File
	ends  []int64 // of the pieces
}

// New makes a Spool whose file is in dir, "" being os.TempDir.
func New(dir string) *Spool { return &Spool{dir: dir, limit: 32 << 10} }

func byID(a, b store.Row) int {
	return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Line, b.Line))
}

// Add keeps a row.
func (s *Spool) Add(r store.Row) error {
	s.rows = append(s.rows, r)
	if len(s.rows) < s.limit {
		return nil
	}
	return s.put()
}

// put writes what is in memory as a piece of the file.
func (s *Spool) put() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "import-*")
		if err != nil {
			return fault(err)
		}
		s.file = f
	}
	slices.SortFunc(s.rows, byID)
	var end int64
	if len(s.ends) > 0 {
		end = s.ends[len(s.ends)-1]
	}
	w := bufio.NewWriterSize(s.file, 256<<10)
	var b []byte
	for _, r := range s.rows {
		b = appendRow(b[:0], r)
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(b)))
		if _, err := w.Write(size[:]); err != nil {
			return fault(err)
		}
		if _, err := w.Write(b); err != nil {
			return fault(err)
		}
		end += int64(len(size) + len(b))
	}
	if err := w.Flush(); err != nil {
		return fault(err)
	}
	s.ends, s.rows = append(s.ends, end), s.rows[:0]
	return nil
}

func fault(err error) error {
	return fmt.Errorf("keeping the lines of the import in a temporary file: %w: make room there, or let TMPDIR name another directory; nothing was imported", err)
}

// Close removes the file.
func (s *Spool) Close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// All returns the rows in order. It can be asked for more than once.
func (s *Spool) All() iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		slices.SortFunc(s.rows, byID)
		var h pieces
		if len(s.rows) > 0 {
			h = append(h, &piece{first: s.rows[0], memory: s.rows[1:]})
		}
		var start int64
		for _, end := range s.ends {
			p := &piece{from: bufio.NewReaderSize(io.NewSectionReader(s.file, start, end-start), 64<<10)}
			start = end
			if err := p.next(); err != nil {
				yield(store.Row{}, fault(err))
				return
			}
			h = append(h, p)
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].first, nil) {
				return
			}
			switch err := h[0].next(); {
			case errors.Is(err, io.EOF):
				heap.Pop(&h)
			case err != nil:
				yield(store.Row{}, fault(err))
				return
			default:
				heap.Fix(&h, 0)
			}
		}
	}
}

// A piece is sorted rows, of which first is next.
type piece struct {
	first  store.Row
	from   *bufio.Reader // nil: memory
	memory []store.Row
	buffer []byte
}

func (p *piece) next() error {
	if p.from == nil {
		if len(p.memory) == 0 {
			return io.EOF
		}
		p.first, p.memory = p.memory[0], p.memory[1:]
		return nil
	}
	var size [4]byte
	if _, err := io.ReadFull(p.from, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	p.buffer = slices.Grow(p.buffer[:0], n)[:n]
	if _, err := io.ReadFull(p.from, p.buffer); err != nil {
		return err
	}
	p.first = readRow(p.buffer)
	return nil
}

type pieces []*piece

func (p pieces) Len() int           { return len(p) }
func (p pieces) Less(i, j int) bool { return byID(p[i].first, p[j].first) < 0 }
func (p pieces) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pieces) Push(v any)        { *p = append(*p, v.(*piece)) }
func (p *pieces) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

func appendRow(b []byte, r store.Row) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(r.Line))
	text(r.ID)
	text(string(r.State))
	if r.Notes == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		text(*r.Notes)
	}
	if r.Labels == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(r.Labels)))
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		text(k)
		text(r.Labels[k])
	}
	return b
}

// readRow reads what appendRow wrote.
func readRow(b []byte) store.Row {
	number := func() int {
		n, size := binary.Uvarint(b)
		b = b[size:]
		return int(n)
	}
	text := func() string {
		n := number()
		s := string(b[:n])
		b = b[n:]
		return s
	}
	var r store.Row
	r.Line = number()
	r.ID = text()
	r.State = countersign.State(text())
	if number() == 1 {
		notes := text()
		r.Notes = &notes
	}
	if number() == 1 {
		n := number()
		r.Labels = make(map[string]string, n)
		for range n {
			k := text()
			r.Labels[k] = text()
		}
	}
	return r
}
