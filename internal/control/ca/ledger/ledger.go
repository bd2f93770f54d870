package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"countersign.dev/internal/control/ca/durable"
)

// A Certificate is what the ledger knows of one certificate.
type Certificate struct {
	Serial    string // upper-case hex, an even number of digits
	Subject   string
	Profile   string
	IssuedAt  time.Time
	NotAfter  time.Time
	RevokedAt time.Time // zero: not revoked
	Reason    string    // of the revocation
}

// Revoked tells whether the certificate has been revoked.
func (c Certificate) Revoked() bool { return !c.RevokedAt.IsZero() }

// A Ledger is the file as last read by Refresh.
type Ledger struct {
	path string
	file fs.FileInfo // of the file that was read, to notice that it was replaced
	size int64       // bytes read: the end of the last whole line
	line int

	order  []string
	known  map[string]*Certificate
	listed Entry // the latest revocation list
}

// Create makes an empty ledger at path; it fails with fs.ErrExist where one is.
func Create(path string) (*Ledger, error) {
	if err := durable.CreateFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	return Open(path)
}

// Open reads the ledger at path.
func Open(path string) (*Ledger, error) {
	l := &Ledger{path: path}
	return l, l.Refresh()
}

// Refresh reads what was appended since, by whichever process, and cuts off an
// unfinished last line.
func (l *Ledger) Refresh() (err error) {
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if l.file == nil || !os.SameFile(l.file, info) || info.Size() < l.size {
		*l = Ledger{path: l.path, known: map[string]*Certificate{}}
	}
	l.file = info
	r := bufio.NewReader(io.NewSectionReader(f, l.size, info.Size()-l.size))
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) == 0 {
				return nil
			}
			return l.cut(f)
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		e, err := parse(line)
		if err == nil {
			err = l.apply(e)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w; restore the file from a backup: without it revocations would be forgotten",
				l.path, l.line+1, err)
		}
		l.size += int64(len(line))
		l.line++
	}
}

func (l *Ledger) cut(f *os.File) error {
	if err := errors.Join(f.Truncate(l.size), f.Sync()); err != nil {
		return fmt.Errorf("ledger: cut off the unfinished last line: %w", err)
	}
	return nil
}

// Append writes e as the next line and returns once it is on disk.
func (l *Ledger) Append(e Entry) error {
	// What is kept is what will be read again: whole seconds, UTC.
	e.At = e.At.UTC().Truncate(time.Second)
	if err := errors.Join(e.check(), l.fits(e)); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	line = append(line, '\n')
	f, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	_, err = f.WriteAt(line, l.size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.size += int64(len(line))
	l.line++
	return l.apply(e)
}

// fits tells whether e can follow what is there.
func (l *Ledger) fits(e Entry) error {
	c := l.known[e.Serial]
	switch {
	case e.Event == Issued && c != nil:
		return fmt.Errorf("serial %s was issued already", e.Serial)
	case e.Event == Revoked && c != nil && c.Revoked():
		return fmt.Errorf("serial %s was revoked already", e.Serial)
	case e.Event == Listed && e.Number <= l.listed.Number:
		return fmt.Errorf("list number %d does not follow %d", e.Number, l.listed.Number)
	}
	return nil
}

func (l *Ledger) apply(e Entry) error {
	if err := l.fits(e); err != nil {
		return err
	}
	if e.Event == Listed {
		l.listed = e
		return nil
	}
	c := l.known[e.Serial]
	if c == nil {
		// A revocation without an issue before it: the certificate was shown
		// to us, the line of its issue lost with an older copy of the ledger.
		c = &Certificate{Serial: e.Serial, Subject: e.Subject, Profile: e.Profile, NotAfter: e.NotAfter}
		l.known[e.Serial] = c
		l.order = append(l.order, e.Serial)
	}
	if e.Event == Issued {
		c.IssuedAt = e.At
	} else {
		c.RevokedAt, c.Reason = e.At, e.Reason
	}
	return nil
}

// Find returns the certificate with that serial.
func (l *Ledger) Find(serial string) (Certificate, bool) {
	c := l.known[serial]
	if c == nil {
		return Certificate{}, false
	}
	return *c, true
}

// Certificates returns all, in the order in which they were issued.
func (l *Ledger) Certificates() []Certificate {
	all := make([]Certificate, 0, len(l.order))
	for _, serial := range l.order {
		all = append(all, *l.known[serial])
	}
	return all
}

// List returns the latest Listed entry; its zero value when there is none.
func (l *Ledger) List() Entry { return l.listed }
