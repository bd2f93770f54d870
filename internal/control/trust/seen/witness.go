package seen

import (
	"crypto/x509"
	"sync/atomic"

	"countersign.dev/internal/traffic/verify"
)

// A Witness tells the Memory in use, which another configuration may replace. The
// zero Witness has none, and remembers nobody.
type Witness struct{ memory atomic.Pointer[Memory] }

// Memory returns the one in use; nil when there is none.
func (w *Witness) Memory() *Memory { return w.memory.Load() }

// Use has m, which may be nil, used from now on, and returns the one before.
func (w *Witness) Use(m *Memory) *Memory { return w.memory.Swap(m) }

// Came is Memory's.
func (w *Witness) Came(listener, policy string, chain verify.Chain, fingerprint [32]byte) {
	if m := w.memory.Load(); m != nil {
		m.Came(listener, policy, chain, fingerprint)
	}
}

// Left is Memory's.
func (w *Witness) Left(fingerprint [32]byte) {
	if m := w.memory.Load(); m != nil {
		m.Left(fingerprint)
	}
}

// Refused is Memory's.
func (w *Witness) Refused(listener, policy string, presented []*x509.Certificate) {
	if m := w.memory.Load(); m != nil {
		m.Refused(listener, policy, presented)
	}
}
