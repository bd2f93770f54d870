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
