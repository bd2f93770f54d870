package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/durable"
)

// MovedLedgerFile is what LedgerFile is called when what it says is kept elsewhere.
const MovedLedgerFile = "ledger.moved.jsonl"

// HasLedgerFile reports whether the ledger of the authority in dir is a file there.
func HasLedgerFile(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, LedgerFile))
	return err == nil
}

// MoveLedger copies the ledger of the authority in dir to another one, then puts the
// file aside, so that nobody writes it any more. Done twice, or by several nodes that
// have copies of dir, it copies what is missing. Nobody may use the authority
// meanwhile. It returns how many certificates the file has.
func MoveLedger(ctx context.Context, dir string, to ledger.Ledger) (n int, err error) {
	path := filepath.Join(dir, LedgerFile)
	unlock, err := durable.Lock(filepath.Join(dir, ListsLockFile))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	from, err := ledger.OpenFile(path, filepath.Join(dir, LockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s holds no ledger (%w): it was moved before, or there is no authority", dir, err)
	}
	if err != nil {
		return 0, err
	}
	if n, err = ledger.Copy(ctx, from, to); err != nil {
		return 0, err
	}
	if err := os.Rename(path, filepath.Join(dir, MovedLedgerFile)); err != nil {
		return 0, err
	}
	return n, durable.SyncDir(dir)
}
