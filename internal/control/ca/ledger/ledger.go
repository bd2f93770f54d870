package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Ledger is the memory of an authority. It is safe for concurrent use, also
// by several processes or nodes that share it. What is wrong with its storage
// is the error of whichever method meets it. Package ledgertest says in tests
// what every variant has to do.
type Ledger interface {
	// Append records the entries, in their order. When it returns nil they
	// survive whatever happens to the process or the machine. An entry that does
	// not fit what is there, or whose key is another's, is a *ConflictError; then, and after any other error
	// that is found beforehand, none of them is recorded. When the storage fails
	// they may be on record or not. The entries of one call are about different
	// certificates, with at most one Listed among them.
	Append(ctx context.Context, entries ...Entry) error

	// Find returns what is known of the certificate with that serial number,
	// with the certificate itself. There is none unless ok.
	Find(ctx context.Context, serial string) (c Certificate, ok bool, err error)

	// Certificates yields everything, in the order in which it became known,
	// without the certificates themselves. It ends after the first error.
	Certificates(ctx context.Context) iter.Seq2[Certificate, error]

	// Revoked returns every revoked certificate, in the order of the records,
	// without the certificates themselves.
	Revoked(ctx context.Context) ([]Certificate, error)

	// List returns the latest Listed entry; its zero value when there is none.
	List(ctx context.Context) (Entry, error)
}

// A Certificate is what a ledger knows of one certificate.
type Certificate struct {
	Serial    string // upper-case hex, an even number of digits
	Issuer    string // key identifier of who signed it, as Entry has it
	Subject   string
	Profile   string
	IssuedAt  time.Time // zero: no issue is on record, only a revocation
	NotAfter  time.Time
	RevokedAt time.Time // zero: not revoked
	Reason    string    // of the revocation
	DER       []byte    // the certificate itself, from Find alone; nil when it is not on record
}

// Revoked tells whether the certificate has been revoked.
func (c Certificate) Revoked() bool { return !c.RevokedAt.IsZero() }

// A ConflictError says that an entry cannot follow what is on record.
type ConflictError struct {
	Entry  Entry
	Key    bool // it is about the key
	Reason string
}

func (e *ConflictError) Error() string { return e.Reason }

// Conflict reports whether err is about an entry that does not fit.
func Conflict(err error) bool {
	_, ok := errors.AsType[*ConflictError](err)
	return ok
}

// KeyConflict reports whether err is about the key of an entry.
func KeyConflict(err error) bool {
	c, ok := errors.AsType[*ConflictError](err)
	return ok && c.Key
}

// Fits tells whether e can follow: known is what is on record of its
// certificate, nil for nothing, and listed the latest list.
func (e Entry) Fits(known *Certificate, listed int64) error {
	switch {
	case e.Event == Issued && known != nil:
		return &ConflictError{Entry: e, Reason: fmt.Sprintf("serial %s was issued already", e.Serial)}
	case e.Event == Revoked && known != nil && known.Revoked():
		return &ConflictError{Entry: e, Reason: fmt.Sprintf("serial %s was revoked already", e.Serial)}
	case e.Event == Listed && e.Number <= listed:
		return &ConflictError{Entry: e, Reason: fmt.Sprintf("list number %d does not follow %d", e.Number, listed)}
	}
	return nil
}

// Prepare checks the entries of one Append as far as that can be done without
// knowing what is on record, and returns them as they will be read again: with
// whole seconds, in UTC.
func Prepare(entries []Entry) ([]Entry, error) {
	seen, keys := map[string]bool{}, map[Key]bool{}
	ready := make([]Entry, len(entries))
	for i, e := range entries {
		e.At, e.NotAfter, e.NextUpdate = whole(e.At), whole(e.NotAfter), whole(e.NextUpdate)
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		if seen[e.Serial] { // "" for lists
			return nil, fmt.Errorf("ledger: two entries about serial %q in one call", e.Serial)
		}
		seen[e.Serial] = true
		if e.readKey(); e.Key != (Key{}) && keys[e.Key] {
			return nil, fmt.Errorf("ledger: two certificates with one key in one call, the second with serial %s", e.Serial)
		}
		keys[e.Key] = true
		ready[i] = e
	}
	return ready, nil
}

func whole(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}
