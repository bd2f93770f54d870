package authority

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/ledger"
)

// Lists makes an authority in dir that has revoked so many certificates, and
// returns how long it takes to sign and write its lists: of one that runs, and of
// one that has to be opened first, as by a command.
func Lists(ctx context.Context, dir string, revoked int) (running, opened time.Duration, err error) {
	if err := withRevoked(ctx, dir, revoked); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	a, err := ca.Open(ca.Config{Dir: dir})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if _, err := a.CRL(0); err != nil {
		return 0, 0, err
	}
	opened = time.Since(began)
	began = time.Now()
	lists, err := a.CRL(0)
	running = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(a.Path(directory.CRLFile))
	if err != nil {
		return 0, 0, err
	}
	if n := len(lists.Issuing.RevokedCertificateEntries); n != revoked || info.Size() < int64(30*revoked) {
		return 0, 0, fmt.Errorf("the list has %d entries in %d bytes: want %d entries", n, info.Size(), revoked)
	}
	return running, opened, nil
}

// withRevoked makes the authority, with a record for each revocation: to issue as
// many certificates first would take longer than all else.
func withRevoked(ctx context.Context, dir string, revoked int) (err error) {
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: dir}})
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%X", a.Issuing().SubjectKeyId)
	book, errBook := ledger.OpenFile(a.Path(directory.LedgerFile), a.Path(".bench.lock")) // which nobody else writes now
	if err := errors.Join(errBook, a.Close()); err != nil {
		return err
	}
	entries := make([]ledger.Entry, revoked)
	serial := make([]byte, 16)
	for i := range entries {
		if _, err := rand.Read(serial); err != nil {
			return err
		}
		serial[0] |= 0x40 // a number has no zeros before it
		entries[i] = ledger.Entry{Event: ledger.Revoked, At: time.Now(), Serial: fmt.Sprintf("%X", serial), Issuer: id, Reason: string(crl.KeyCompromise)}
	}
	return book.Append(ctx, entries...)
}
