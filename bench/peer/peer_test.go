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
	secure, err := files.Behind()
	if err != nil {
		t.Fatal(err)
	}
	go func() { served <- backend.Serve(ctx, ln, secure) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for _, p := range All() {
		for name, site := range map[string]Site{"": {}, "-logging": {Log: true}, "-behind-tls": {Secure: true}, "-tls": {Stream: TLS}, "-tcp": {Stream: TCP}} {
			t.Run(p.Name+name, func(t *testing.T) {
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
				if site.Listen, err = FreePort(); err != nil {
					t.Fatal(err)
				}
				site.Dir, site.Backend, site.Files, site.Connections = t.TempDir(), ln.Addr().String(), files, 16
				server, err := p.Start(t.Context(), program, site)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := server.Stop(); err != nil {
						t.Error(err)
					}
				}()
				if err := server.Prove(t.Context(), false); err != nil {
					t.Error(err)
				}
				if site.Stream != "" {
					return // the backend speaks HTTP/1.1 alone
				}
				if err := server.Prove(t.Context(), true); err != nil {
					t.Errorf("HTTP/2: %v", err)
				}
			})
		}
	}
}
