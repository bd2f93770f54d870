package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"unique"

	"countersign.dev/internal/control/ca/gather"
	"countersign.dev/internal/control/durable"
)

// A File is a Ledger in a file of JSON lines. Several processes may have it open.
// Those who append at the same time share one sync.
type File struct {
	path, lock string
	appends    gather.Work[[]Entry]

	mu      sync.Mutex
	file    fs.FileInfo // of what was read, to notice that it was replaced
	size    int64       // bytes read: the end of the last whole line
	line    int
	order   []string
	known   map[string]*place
	holders map[Key]*Holder
	revoked []string
	listed  Entry
}

// A place is a certificate, and where its Issued line is in the file.
type place struct {
	Certificate
	offset, length int64
	holder         *Holder // of its key; nil: the certificate is not on record
}

// CreateFile makes an empty ledger at path; it fails with fs.ErrExist where one
// is. Whoever writes holds the lock file at lock.
func CreateFile(path, lock string) (*File, error) {
	if err := durable.CreateFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	return OpenFile(path, lock)
}

// OpenFile reads the ledger at path, and cuts off an unfinished last line.
func OpenFile(path, lock string) (f *File, err error) {
	f = &File{path: path, lock: lock}
	unlock, err := durable.Lock(lock)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f, f.refresh(true)
}

// refresh reads what was appended since, by whichever process. An unfinished
// last line is left alone unless cut: another process may be writing it, so
// that cut is for who holds the lock.
func (f *File) refresh(cut bool) error {
	err := f.readOn(cut)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && f.size > 0 {
		// An older copy may have been written over it: once more, from the beginning.
		f.file = nil
		err = f.readOn(cut)
	}
	return err
}

func (f *File) readOn(cut bool) (err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if f.file == nil || !os.SameFile(f.file, info) || info.Size() < f.size {
		f.size, f.line, f.order, f.revoked, f.listed = 0, 0, nil, nil, Entry{}
		f.known, f.holders = map[string]*place{}, map[Key]*Holder{}
	}
	f.file = info
	if info.Size() == f.size {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := bufio.NewReaderSize(io.NewSectionReader(file, f.size, info.Size()-f.size), 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) == 0 || !cut {
				return nil
			}
			if err := errors.Join(file.Truncate(f.size), file.Sync()); err != nil {
				return fmt.Errorf("ledger: cut off the unfinished last line: %w", err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		e, err := parse(line)
		if err == nil {
			err = e.Fits(f.certificate(e.Serial), f.listed.Number)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w; restore the file from a backup: without it revocations would be forgotten",
				f.path, f.line+1, err)
		}
		f.apply(e, int64(len(line)))
	}
}

// certificate is what is known of a serial number; nil for nothing.
func (f *File) certificate(serial string) *Certificate {
	if p := f.known[serial]; p != nil {
		return &p.Certificate
	}
	return nil
}

// apply takes over the next line, which fits and has that many bytes.
func (f *File) apply(e Entry, length int64) {
	offset := f.size
	f.size += length
	f.line++
	if e.Event == Listed {
		f.listed = e
		return
	}
	// Hundreds of thousands have the same.
	e.Issuer, e.Profile, e.Reason = unique.Make(e.Issuer).Value(), unique.Make(e.Profile).Value(), unique.Make(e.Reason).Value()
	p := f.known[e.Serial]
	if p == nil {
		// A revocation without an issue before it: the certificate was shown
		// to us, the line of its issue lost with an older copy of the ledger.
		p = &place{Certificate: Certificate{Serial: e.Serial, Issuer: e.Issuer, Subject: e.Subject, Profile: e.Profile, NotAfter: e.NotAfter}}
		f.known[e.Serial] = p
		f.order = append(f.order, e.Serial)
	}
	if e.Event == Issued {
		p.IssuedAt = e.At
		if len(e.Certificate) > 0 {
			p.offset, p.length = offset, length
		}
		f.hold(p, e)
		return
	}
	if e.Compromises() && p.holder != nil {
		p.holder.Compromised = true
	}
	p.RevokedAt, p.Reason = e.At, e.Reason
	f.revoked = append(f.revoked, e.Serial)
}

// hold notes who has the key of a certificate: whoever has had it first.
func (f *File) hold(p *place, e Entry) {
	if e.Key == (Key{}) {
		return
	}
	if p.holder = f.holders[e.Key]; p.holder == nil {
		h := e.Holder()
		p.holder, f.holders[e.Key] = &h, &h
	}
}

// Append implements Ledger. Once it has begun it ends, whatever becomes of ctx:
// half a record would be none.
func (f *File) Append(ctx context.Context, entries ...Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := Prepare(entries)
	if err != nil || len(entries) == 0 {
		return err
	}
	return f.appends.Do(entries, f.commit)
}

// commit writes what several callers append with one sync. An error for each.
func (f *File) commit(calls [][]Entry) []error {
	errs := make([]error, len(calls))
	all := func(err error) []error {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = fmt.Errorf("ledger: %w", err)
			}
		}
		return errs
	}
	unlock, err := durable.Lock(f.lock)
	if err != nil {
		return all(err)
	}
	defer unlock() // nothing is left to be lost
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refresh(true); err != nil {
		return all(err)
	}
	before := f.size
	var lines []byte
	for i, entries := range calls {
		if errs[i] = f.take(&lines, entries); errs[i] != nil {
			errs[i] = fmt.Errorf("ledger: %w", errs[i])
		}
	}
	if len(lines) == 0 {
		return errs
	}
	if err := write(f.path, before, lines); err != nil {
		f.file = nil // what memory has is not what the disk has
		return all(err)
	}
	return errs
}

// take applies the entries of one call, all or none, with their lines.
func (f *File) take(lines *[]byte, entries []Entry) error {
	own := make([][]byte, len(entries))
	for i, e := range entries {
		if err := e.Fits(f.certificate(e.Serial), f.listed.Number); err != nil {
			return err
		}
		if e.Event == Issued {
			if err := e.Suits(f.holders[e.Key]); err != nil {
				return err
			}
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		own[i] = append(line, '\n')
	}
	for i, e := range entries {
		f.apply(e, int64(len(own[i])))
		*lines = append(*lines, own[i]...)
	}
	return nil
}

// write puts lines at the end of the file, which is at size, and syncs it. What
// has become of them when it fails stays: a line that others may have read is
// never taken back, and half a line is cut off by whoever writes next.
func write(path string, size int64, lines []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err = file.WriteAt(lines, size); err != nil {
		return err
	}
	return file.Sync()
}

// Find implements Ledger.
func (f *File) Find(ctx context.Context, serial string) (Certificate, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(ctx.Err(), f.refresh(false)); err != nil {
		return Certificate{}, false, err
	}
	p := f.known[serial]
	if p == nil {
		return Certificate{}, false, nil
	}
	c := p.Certificate
	if p.length == 0 {
		return c, true, nil
	}
	line := make([]byte, p.length)
	file, err := os.Open(f.path)
	if err == nil {
		_, err = file.ReadAt(line, p.offset)
		err = errors.Join(err, file.Close())
	}
	var e Entry
	if err == nil {
		e, err = parse(bytes.TrimSuffix(line, []byte("\n")))
	}
	if err == nil && e.Serial != serial {
		err = fmt.Errorf("the line of serial %s is about %s", serial, e.Serial)
	}
	if err != nil {
		return Certificate{}, false, fmt.Errorf("ledger: %w", err)
	}
	c.DER = e.Certificate
	return c, true, nil
}

// Certificates implements Ledger.
func (f *File) Certificates(ctx context.Context) iter.Seq2[Certificate, error] {
	return func(yield func(Certificate, error) bool) {
		f.mu.Lock()
		err := errors.Join(ctx.Err(), f.refresh(false))
		all := f.collect(f.order)
		f.mu.Unlock()
		if err != nil {
			yield(Certificate{}, err)
			return
		}
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Revoked implements Ledger.
func (f *File) Revoked(ctx context.Context) ([]Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(ctx.Err(), f.refresh(false)); err != nil {
		return nil, err
	}
	return f.collect(f.revoked), nil
}

func (f *File) collect(serials []string) []Certificate {
	all := make([]Certificate, 0, len(serials))
	for _, serial := range serials {
		all = append(all, f.known[serial].Certificate)
	}
	return all
}

// List implements Ledger.
func (f *File) List(ctx context.Context) (Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(ctx.Err(), f.refresh(false)); err != nil {
		return Entry{}, err
	}
	return f.listed, nil
}
