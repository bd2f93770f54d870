package signing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// afterlife is how long a key is published after its last signature: the
	// longest life of a token, and a while for clocks that go wrong.
	afterlife = time.Hour + 5*time.Minute
	// heartbeat is the longest wait for a rotation: the clock may be set.
	heartbeat = time.Minute
)

// Config is what Keys are made from.
type Config struct {
	Path   string           // of the file that keeps them; "": they last as long as the program
	Rotate time.Duration    // how long a key signs; 0: a day
	Logger *slog.Logger     // nil: discarded
	Now    func() time.Time // nil: time.Now
}

// Keys sign and are published. Their methods are safe for concurrent use.
type Keys struct {
	path   string
	logger *slog.Logger
	now    func() time.Time
	rotate atomic.Int64
	signer atomic.Pointer[jose.Signer]
	set    atomic.Pointer[[]byte]

	mu   sync.Mutex
	ring *ring
}

// Open reads the keys at cfg.Path, or makes new ones where there are none. They
// are exchanged while Run runs.
func Open(cfg Config) (*Keys, error) {
	k := &Keys{path: cfg.Path, logger: cfg.Logger, now: cfg.Now}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	if k.now == nil {
		k.now = time.Now
	}
	k.SetRotation(cfg.Rotate)
	var r *ring
	var err error
	if k.path != "" {
		if r, err = read(k.path); err != nil && !missing(err) {
			return nil, err
		}
	}
	if r == nil {
		if r, err = newRing(k.now()); err == nil {
			err = r.write(k.path)
		}
		if err != nil {
			return nil, err
		}
	}
	return k, k.use(r)
}

// SetRotation has each key sign for that long; 0: a day.
func (k *Keys) SetRotation(d time.Duration) {
	if d == 0 {
		d = 24 * time.Hour
	}
	k.rotate.Store(int64(d))
}

// Sign returns claims as a JWS in the compact serialization, under the key in use.
func (k *Keys) Sign(claims []byte) (string, error) {
	signed, err := (*k.signer.Load()).Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Public is the JWK Set of the public halves. It must not be changed.
func (k *Keys) Public() []byte { return *k.set.Load() }

// use has r sign. The set comes first: nothing is signed under a key that is not
// published.
func (k *Keys) use(r *ring) error {
	signer, err := r.signer()
	if err != nil {
		return err
	}
	set, err := r.public(k.now())
	if err != nil {
		return err
	}
	k.set.Store(&set)
	k.signer.Store(&signer)
	k.ring = r
	return nil
}

// Run exchanges keys when their time is over, until ctx ends. A key that cannot be
// exchanged signs on.
func (k *Keys) Run(ctx context.Context) {
	pulse := time.NewTicker(heartbeat)
	defer pulse.Stop()
	for {
		if err := k.Turn(); err != nil {
			k.logger.Error("the key that signs tokens is not exchanged, the old one signs on; it is tried again in a minute", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-pulse.C:
		}
	}
}

// Turn exchanges the key in use if its time is over, and stops publishing those of
// which nothing can be valid any more.
func (k *Keys) Turn() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, r := k.now(), k.ring
	// A clock that was set back leaves a key that has begun in the future.
	if age := now.Sub(r.Since); age >= 0 && age < time.Duration(k.rotate.Load()) {
		return k.use(r)
	}
	r, err := r.turned(now)
	if err != nil {
		return err
	}
	if err := r.write(k.path); err != nil {
		return err
	}
	if err := k.use(r); err != nil {
		return err
	}
	k.logger.Info("tokens are signed by the next key", "kid", r.Active.KeyID)
	return nil
}
