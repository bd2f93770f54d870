package main

import (
	"context"
	"errors"
	"iter"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/store"
)

// A storeLedger is the ledger of an authority in the store that is open when it is
// asked: a configuration brings the authority before the store is in use.
type storeLedger struct {
	opened    func() *store.Store
	authority string
}

var errNoStore = errors.New("the store is not open, and the ledger of the authority is in it")

func (l storeLedger) ledger() (ledger.Ledger, error) {
	s := l.opened()
	if s == nil {
		return nil, errNoStore
	}
	return s.Ledger(l.authority), nil
}

// Append implements ledger.Ledger.
func (l storeLedger) Append(ctx context.Context, entries ...ledger.Entry) error {
	in, err := l.ledger()
	if err != nil {
		return err
	}
	return in.Append(ctx, entries...)
}

// Find implements ledger.Ledger.
func (l storeLedger) Find(ctx context.Context, serial string) (ledger.Certificate, bool, error) {
	in, err := l.ledger()
	if err != nil {
		return ledger.Certificate{}, false, err
	}
	return in.Find(ctx, serial)
}

// Certificates implements ledger.Ledger.
func (l storeLedger) Certificates(ctx context.Context) iter.Seq2[ledger.Certificate, error] {
	in, err := l.ledger()
	if err != nil {
		return func(yield func(ledger.Certificate, error) bool) { yield(ledger.Certificate{}, err) }
	}
	return in.Certificates(ctx)
}

// Revoked implements ledger.Ledger.
func (l storeLedger) Revoked(ctx context.Context) ([]ledger.Certificate, error) {
	in, err := l.ledger()
	if err != nil {
		return nil, err
	}
	return in.Revoked(ctx)
}

// List implements ledger.Ledger.
func (l storeLedger) List(ctx context.Context) (ledger.Entry, error) {
	in, err := l.ledger()
	if err != nil {
		return ledger.Entry{}, err
	}
	return in.List(ctx)
}
