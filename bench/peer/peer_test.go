package peer

import (
	"context"
	"net"
	"testing"

	"countersign.dev/bench/backend"
	"countersign.dev/bench/credentials"
	"countersign.dev/internal/testrequire"
)

// Every server does the work that is compared, or the comparison is none.
func TestServersDoTheSameWork(t *testing.T) {
	files, err := credentials.Make(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- backend.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for _, p := range All() {
		for name, logs := range map[string]bool{p.Name: false, p.Name + "-logging": true} {
			t.Run(name, func(t *testing.T) {
				if p.Name != Self {
					testrequire.Program(t, p.Name)
				}
				program, err := p.Find(t.Context(), Build{Module: "../..", Dir: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				if version, err := p.Version(t.Context(), program); err != nil || version == "" {
					t.Errorf("version %q, %v", version, err)
				}
				listen, err := FreePort()
				if err != nil {
					t.Fatal(err)
				}
				server, err := p.Start(t.Context(), program, Site{
					Dir: t.TempDir(), Listen: listen, Backend: ln.Addr().String(), Files: files, Log: logs, Connections: 16,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := server.Stop(); err != nil {
						t.Error(err)
					}
				}()
				for _, http2 := range []bool{false, true} {
					if err := server.Prove(t.Context(), http2); err != nil {
						t.Errorf("HTTP/2: %t: %v", http2, err)
					}
				}
			})
		}
	}
}
