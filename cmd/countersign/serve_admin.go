package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/admin"
	"countersign.dev/internal/control/api"
	"countersign.dev/internal/control/audit"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/traffic/handshake"
)

// management is the management API, with what of it belongs to a configuration.
type management struct {
	api    *api.API
	tls    atomic.Pointer[tls.Config] // of the admin address; nil: plain HTTP
	logger *slog.Logger

	mu    sync.Mutex
	dir   string       // of the trail
	trail *audit.Trail // in force; nil: none
}

// prepare makes ready what draft says about who may use the API. What is at fault
// there turns the API off, or keeps it from changing anything: traffic goes on.
func (m *management) prepare(draft *publish.Draft) (publish.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	secure, err := adminTLS(draft.Admin)
	if err != nil {
		return publish.Change{}, err
	}
	rules := &api.Rules{}
	for _, c := range draft.Admin.Certificates {
		rules.Certificates = append(rules.Certificates, c.TLS.Leaf)
	}
	if policy := draft.Admin.Operators; policy != nil {
		rules.Operators = policy
	}
	node := draft.Config.Node
	dir := node.DataDir
	if node.Admin.Address == "" {
		dir = ""
	}
	trail := m.trail
	switch {
	case dir == "":
		trail, rules.Off = nil, "node.data_dir is not set, and the token and the audit trail are kept there"
	default:
		if rules.Token, err = api.OpenToken(dir); err != nil {
			rules.NoToken = err.Error()
			m.logger.Error("callers on this machine cannot use the management API", "error", err)
		}
		if trail == nil || dir != m.dir {
			if trail, err = audit.Open(dir, m.logger); err != nil {
				trail, rules.Trail = nil, noTrail{err}
				m.logger.Error("nothing can be changed by the management API", "error", err)
			}
		}
	}
	if trail != nil {
		rules.Trail = trail
	}
	release := func(t *audit.Trail) {
		if t == nil {
			return
		}
		if err := t.Close(); err != nil {
			m.logger.Error("an audit trail was not closed in good order", "error", err)
		}
	}
	old := m.trail
	return publish.Change{
		Apply: func() {
			m.mu.Lock()
			m.dir, m.trail = dir, trail
			m.mu.Unlock()
			m.tls.Store(secure)
			m.api.Enforce(rules)
			if old != trail {
				release(old)
			}
		},
		Abandon: func() {
			if old != trail {
				release(trail)
			}
		},
	}, nil
}

func (m *management) stop() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trail == nil {
		return nil
	}
	return m.trail.Close()
}

// noTrail refuses every entry, and so every change.
type noTrail struct{ why error }

func (n noTrail) Append(audit.Entry) (uint64, error) { return 0, n.why }

// adminTLS is how the admin address speaks TLS; nil: it does not. Certificates of
// operators are asked for, and judged when a request needs one: /metrics needs none.
func adminTLS(a publish.Admin) (*tls.Config, error) {
	if len(a.Certificates) == 0 {
		return nil, nil
	}
	policy, err := handshake.PolicyByName("modern")
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		MinVersion: policy.MinVersion, MaxVersion: policy.MaxVersion,
		CipherSuites: policy.CipherSuites, CurvePreferences: policy.Groups,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // each connection proves anew that it has the key
	}
	for _, c := range a.Certificates {
		cfg.Certificates = append(cfg.Certificates, c.TLS)
	}
	if a.Operators != nil {
		cfg.ClientAuth = tls.RequestClientCert
	}
	return cfg, nil
}

// An adminServer is the server on the admin address, which a configuration may move.
type adminServer struct {
	mu      sync.Mutex
	address string
	end     func() <-chan error // of begin; nil: there is none
	ending  sync.WaitGroup      // of servers that were replaced
}

// move binds cfg.Address, "" being nowhere, and returns what serves there
// instead of where it was.
func (a *adminServer) move(file *config.Config, cfg admin.Config) (publish.Change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cfg.Address == a.address {
		return publish.Change{Apply: func() {}, Abandon: func() {}}, nil
	}
	if cfg.Address == "" {
		return publish.Change{Apply: func() { a.replace(cfg, nil) }, Abandon: func() {}}, nil
	}
	server, err := admin.New(cfg)
	if err != nil {
		fault := publish.AddressFault(file, "node.admin.address", cfg.Address, err)
		fault.Hint += "; admin may be off, too"
		return publish.Change{}, config.Faults{fault}
	}
	return publish.Change{Apply: func() { a.replace(cfg, server) }, Abandon: func() { server.Close() }}, nil
}

// replace starts server, if there is one, and ends the one before.
func (a *adminServer) replace(cfg admin.Config, server *admin.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.end
	a.address, a.end = cfg.Address, nil
	if server != nil {
		a.end = begin(server)
		cfg.Logger.Info("listening for operators", "address", cfg.Address, "bound", server.Addr().String())
	}
	if old == nil {
		return
	}
	ended := old()
	// Not here: the old server waits for its answers, one of which may be to whoever
	// asked for this very configuration.
	a.ending.Go(func() {
		if err := <-ended; err != nil {
			cfg.Logger.Error("the former admin address was not given up in good order", "error", err)
		}
	})
}

func (a *adminServer) stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	if a.end != nil {
		err = <-a.end()
	}
	a.ending.Wait()
	return err
}

// begin has a server run in the background. After end nobody new is answered; what
// it returns says once, with what Run returns, that the answers under way are done.
func begin(server interface {
	Run(context.Context) error
	Close() error
}) (end func() <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	return func() <-chan error {
		cancel()
		server.Close() // it can have failed already; then Run says so
		return ended
	}
}
