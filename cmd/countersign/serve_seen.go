package main

import (
	"log/slog"
	"path/filepath"
	"sync"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust/seen"
)

// remembering has the clients that are seen remembered, in the data_dir of the
// configuration in force.
type remembering struct {
	witness seen.Witness
	logger  *slog.Logger

	mu  sync.Mutex
	dir string // of what is in use
}

// prepare opens what node.data_dir has. Where that fails nobody is remembered:
// traffic goes on.
func (r *remembering) prepare(node config.Node) publish.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := ""
	if node.DataDir != "" && node.SeenClients > 0 {
		dir = filepath.Join(node.DataDir, "seen")
	}
	memory := r.witness.Memory()
	fresh := dir != r.dir || memory == nil
	if fresh {
		memory = nil
	}
	if fresh && dir != "" {
		var err error
		if memory, err = seen.Open(seen.Config{Dir: dir, Most: node.SeenClients, Logger: r.logger}); err != nil {
			r.logger.Error("no client is remembered, so that a staged bundle is held against those alone who are connected", "error", err)
			memory = nil
		}
	}
	return publish.Change{
		Apply: func() {
			if !fresh {
				if memory != nil {
					memory.Limit(node.SeenClients)
				}
				return
			}
			r.mu.Lock()
			r.dir = dir
			r.mu.Unlock()
			r.release(r.witness.Use(memory))
		},
		Abandon: func() {
			if fresh {
				r.release(memory)
			}
		},
	}
}

func (r *remembering) release(m *seen.Memory) {
	if m == nil {
		return
	}
	if err := m.Close(); err != nil {
		r.logger.Error("when clients were last seen could not be written down", "error", err)
	}
}

// stop comes after the last connection has ended.
func (r *remembering) stop() { r.release(r.witness.Use(nil)) }
