package crl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"countersign.dev/internal/wire/pemscan"
)

// Limits bound what is read.
type Limits struct {
	Entries int // of all lists of the file together; 0: no bound

	// Pause is called again and again while a long list is read, so that what is
	// more urgent comes first; nil: nothing is.
	Pause func()
}

// mostFaults bounds how many faults of a file are told.
const mostFaults = 20

// Parse is Read for what is in memory, without limits.
func Parse(name string, data []byte) ([]*List, error) {
	return Read(name, bytes.NewReader(data), Limits{})
}

// Read reads the revocation lists of a file from front to back: PEM, one or
// several, or one in DER. name is the file's, for messages. The error joins the
// faults of the file; with an error there are no lists. The signatures are not
// checked: List.IssuedBy does that.
func Read(name string, r io.Reader, limits Limits) ([]*List, error) {
	f := &file{name: name, lines: lines{r: bufio.NewReaderSize(r, windowSize)}, limits: limits}
	first, err := f.lines.r.Peek(1)
	if err == nil && first[0] == 0x30 {
		l, err := f.list(f.lines.r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return []*List{l}, nil
	}
	if err := f.pem(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(f.faults) == 0 && len(f.lists) == 0 {
		f.faults = append(f.faults, fmt.Errorf("%s: there is no revocation list in the file; want PEM (X509 CRL) or DER", name))
	}
	if len(f.faults) > 0 {
		return nil, errors.Join(f.faults...)
	}
	return f.lists, nil
}

// A file is one that is being read.
type file struct {
	name   string
	lines  lines
	window window // shared by the lists, which come one after the other
	limits Limits
	taken  int // entries

	lists  []*List
	faults []error
}

func (f *file) fault(line int, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%s:%d: %w", f.name, line, fmt.Errorf(format, args...)))
}

// list reads a list in DER, up to the end of r.
func (f *file) list(r io.Reader) (*List, error) {
	most := 0
	if f.limits.Entries > 0 {
		most = f.limits.Entries - f.taken
	}
	p := parser{w: &f.window, list: &List{Name: f.name}, bounded: f.limits.Entries > 0, most: most}
	p.entries.Pause, p.w.pause = f.limits.Pause, f.limits.Pause
	if err := p.read(r); err != nil {
		if errors.Is(err, errTooMany) {
			return nil, &EntriesError{Most: f.limits.Entries}
		}
		return nil, err
	}
	f.taken += p.list.Len()
	return p.list, nil
}

// An EntriesError says that a file has more revoked certificates than Limits allow.
type EntriesError struct{ Most int }

// Error names the bound.
func (e *EntriesError) Error() string {
	return fmt.Sprintf("it has more than %d revoked certificates", e.Most)
}

// pem reads the file's lines. Its error is one of reading.
func (f *file) pem() error {
	stray := false // the line before belongs to no block either
	for len(f.faults) < mostFaults {
		line, err := f.lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		number := f.lines.number
		switch {
		case isLabel(line, begin):
			stray = false
			f.block(number, string(label(line, begin)))
		case len(line) == 0, line[0] == '#':
			stray = false
		case !stray:
			stray = true
			f.fault(number, "neither PEM nor a comment: %s; leave openssl's -text out", pemscan.Excerpt(string(line)))
		}
	}
	f.faults = append(f.faults, fmt.Errorf("%s: there is more at fault; the rest was not read", f.name))
	return nil
}

func (f *file) block(number int, typ string) {
	body := &body{lines: &f.lines, typ: typ}
	var l *List
	var err error
	if typ == "X509 CRL" {
		l, err = f.list(body)
	}
	body.drain() // what is wrong with the block says more than what is wrong with its content
	switch {
	case body.fault != "":
		f.fault(number, "the %s block that begins here is damaged: %s", pemscan.Excerpt(typ), body.fault)
	case body.err != nil:
		f.fault(number, "%w", body.err)
	case typ != "X509 CRL":
		f.fault(number, "a %s block; want X509 CRL blocks alone", pemscan.Excerpt(typ))
	case err != nil:
		f.fault(number, "%w", err)
	default:
		f.lists = append(f.lists, l)
	}
}
