package enroll

import (
	"context"
	"time"
)

// FirstUse notes that certificates are used, by which their delivery is over. Its
// zero value is ready.
type FirstUse struct {
	desk  *Desk
	noted chan [32]byte
}

// waitingUses bounds how many uses wait to be noted. One that finds no room is
// noted the next time.
const waitingUses = 4096

// NewFirstUse makes one that works for desk.
func NewFirstUse(desk *Desk) *FirstUse {
	return &FirstUse{desk: desk, noted: make(chan [32]byte, waitingUses)}
}

// Note says that a certificate is used. It does not wait.
func (f *FirstUse) Note(fingerprint [32]byte) {
	if f.desk.inUse.Load() == nil {
		return
	}
	select {
	case f.noted <- fingerprint:
	default:
	}
}

// known bounds how many certificates are remembered that need not be asked about
// again.
const known = 1 << 16

// Run keeps what is noted until ctx ends.
func (f *FirstUse) Run(ctx context.Context) {
	var young, old map[[32]byte]struct{}
	for {
		select {
		case <-ctx.Done():
			return
		case print := <-f.noted:
			if _, there := young[print]; there {
				continue
			}
			if _, there := old[print]; there {
				continue
			}
			if !f.keep(ctx, print) {
				continue // it is asked again when it comes again
			}
			if young == nil || len(young) >= known {
				young, old = map[[32]byte]struct{}{}, young
			}
			young[print] = struct{}{}
		}
	}
}

func (f *FirstUse) keep(ctx context.Context, print [32]byte) bool {
	o := f.desk.inUse.Load()
	if o == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := o.Store.Enrollments.Acknowledge(ctx, print, f.desk.now()); err != nil {
		if ctx.Err() == nil {
			f.desk.logger.Warn("that a certificate is used is not noted, and is tried again with its next connection", "error", err)
		}
		return false
	}
	return true
}
