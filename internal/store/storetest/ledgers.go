package storetest

import (
	"testing"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/ledger/ledgertest"
	"countersign.dev/internal/store"
)

// RunLedger holds the ledgers of a backend to what every ledger does, seen through
// two openings in turns.
func RunLedger(t *testing.T, open func(t *testing.T) (s *store.Store, reopen func(t *testing.T) *store.Store)) {
	ledgertest.Run(t, func(t *testing.T) func() ledger.Ledger {
		s, reopen := open(t)
		both, n := [2]*store.Store{s, reopen(t)}, 0
		return func() ledger.Ledger { n++; return both[n%2].Ledger("fleet") }
	})
	t.Run("authorities know nothing of each other", func(t *testing.T) {
		s, _ := open(t)
		for _, name := range []string{"one", "two"} {
			if err := s.Ledger(name).Append(t.Context(), ledgertest.Issued("01"), ledgertest.Listed(7)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Ledger("one").Append(t.Context(), ledgertest.Revoked("01"), ledgertest.Listed(8)); err != nil {
			t.Fatal(err)
		}
		c, ok, err := s.Ledger("two").Find(t.Context(), "01")
		if err != nil || !ok || c.Revoked() {
			t.Errorf("in the other one it is %+v, %v", c, err)
		}
		if e, err := s.Ledger("two").List(t.Context()); err != nil || e.Number != 7 {
			t.Errorf("the other one has list %d, %v", e.Number, err)
		}
	})
}
