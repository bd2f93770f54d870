package ledger_test

import (
	"path/filepath"
	"testing"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/ledger/ledgertest"
)

func TestFile(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) func() ledger.Ledger {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		if _, err := ledger.CreateFile(path, path+".lock"); err != nil {
			t.Fatal(err)
		}
		return func() ledger.Ledger {
			f, err := ledger.OpenFile(path, path+".lock")
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	})
}

// What one ledger says another one says afterwards, done once or twice.
func TestALedgerIsCopied(t *testing.T) {
	open := func(name string) *ledger.File {
		path := filepath.Join(t.TempDir(), name)
		f, err := ledger.CreateFile(path, path+".lock")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	from, to := open("from"), open("to")
	lost := ledgertest.Revoked("77") // nobody knows of its issue
	for _, e := range []ledger.Entry{ledgertest.Issued("01"), ledgertest.Issued("02"), lost, ledgertest.Revoked("01"), ledgertest.Listed(7)} {
		if err := from.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Append(t.Context(), ledgertest.Issued("02"), ledgertest.Issued("03"), ledgertest.Listed(9)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := ledger.Copy(t.Context(), from, to); err != nil || n != 3 {
			t.Fatalf("%d certificates, %v; want 3", n, err)
		}
	}
	for serial, revoked := range map[string]bool{"01": true, "02": false, "03": false, "77": true} {
		c, ok, err := to.Find(t.Context(), serial)
		if err != nil || !ok || c.Revoked() != revoked || serial != "77" && string(c.DER) != "certificate "+serial {
			t.Errorf("%s: %+v, %v, %v", serial, c, ok, err)
		}
	}
	if e, err := to.List(t.Context()); err != nil || e.Number != 9 {
		t.Errorf("the list is %d, %v: its number goes back", e.Number, err)
	}
}
