package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/signing"
	"countersign.dev/internal/traffic/route"
)

// tokenKeysName is the file in data_dir with the keys that sign tokens.
const tokenKeysName = "token-keys.json"

// tokens have what targets are told signed, with the keys in the data_dir of the
// configuration in force. While no listener sends tokens there are no keys.
type tokens struct {
	logger *slog.Logger
	inUse  atomic.Pointer[signing.Keys]

	mu       sync.Mutex
	path     string // of the keys in use
	turning  context.CancelFunc
	rotating sync.WaitGroup
}

// Sign is idheader.Signer's.
func (t *tokens) Sign(claims []byte) (string, error) {
	if k := t.inUse.Load(); k != nil {
		return k.Sign(claims)
	}
	return "", errors.New("the node has no keys")
}

// publication has the public keys.
func (t *tokens) publication() signing.Publication {
	return signing.Publication{Set: func() []byte {
		if k := t.inUse.Load(); k != nil {
			return k.Public()
		}
		return nil
	}}
}

// paths is where a listener publishes them.
func (t *tokens) paths(l *config.Listener) map[string]route.Action {
	token := l.Token()
	if token == nil || token.JWKSPath == "" {
		return nil
	}
	return map[string]route.Action{token.JWKSPath: {Respond: t.publication(), Public: true}}
}

// prepare opens the keys. The first are in use before the configuration is, since
// requests come as soon as it is in force.
func (t *tokens) prepare(cfg *config.Config) (publish.Change, error) {
	none := publish.Change{Apply: func() {}, Abandon: func() {}}
	if !cfg.States() {
		return none, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	path := ""
	if cfg.Node.DataDir != "" {
		path = filepath.Join(cfg.Node.DataDir, tokenKeysName)
	}
	keys := t.inUse.Load()
	if keys != nil && path == t.path {
		return publish.Change{Apply: func() { keys.SetRotation(cfg.Node.Signing.Rotate) }, Abandon: none.Abandon}, nil
	}
	fresh, err := signing.Open(signing.Config{Path: path, Rotate: cfg.Node.Signing.Rotate, Logger: t.logger})
	if err != nil {
		return none, config.Faults{cfg.Fault("node.data_dir", err.Error(), "keys of the node that can be used", "")}
	}
	if keys == nil {
		t.use(fresh, path)
		return none, nil
	}
	return publish.Change{Abandon: none.Abandon, Apply: func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.use(fresh, path)
	}}, nil
}

// use has keys sign, and exchanged in time. t.mu is held.
func (t *tokens) use(keys *signing.Keys, path string) {
	if t.turning != nil {
		t.turning()
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.turning, t.path = cancel, path
	t.inUse.Store(keys)
	t.rotating.Go(func() { keys.Run(ctx) })
}

// stop comes after the last request.
func (t *tokens) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turning != nil {
		t.turning()
	}
	t.rotating.Wait()
}
