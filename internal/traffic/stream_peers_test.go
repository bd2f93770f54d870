package traffic_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
)

// A database is nothing but bytes: each statement is an exchange in both directions,
// and a large answer waits for its reader.
func TestPostgreSQLIsSpokenThroughATCPListener(t *testing.T) {
	url := testrequire.PostgreSQL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	r := startBefore(t, bridge(t, filepath.Join(config.Host, ".s.PGSQL.5432")), tcpConfig)
	config.Host, config.Port, config.TLSConfig = "127.0.0.1", 0, nil
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.address("127.0.0.1:0"))
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	config.Fallbacks = nil
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for range 3 {
		r.parked(2)
		var n, length int
		rows, err := conn.Query(t.Context(), "SELECT n, length(repeat('x', 1000)), repeat('x', 1000) FROM generate_series(1, 20000) AS n")
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for rows.Next() {
			var text string
			if err := rows.Scan(&n, &length, &text); err != nil {
				t.Fatal(err)
			}
			if count++; n != count || len(text) != length {
				t.Fatalf("row %d says %d, with %d of %d letters", count, n, len(text), length)
			}
		}
		if rows.Err() != nil || count != 20000 {
			t.Fatalf("%d rows, %v", count, rows.Err())
		}
	}
}

// bridge makes a socket of the file system one of TCP, which targets are.
func bridge(t *testing.T, path string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u, err := net.Dial("unix", path)
			if err != nil {
				c.Close()
				continue
			}
			go func() { defer u.Close(); io.Copy(u, c) }()
			go func() { defer c.Close(); io.Copy(c, u) }()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// nginx behind a listener that passes bytes on reads who came, and goes by the name
// that was asked for.
func TestNginxBehindAStreamReadsWhoCame(t *testing.T) {
	testrequire.Program(t, "nginx")
	dir := t.TempDir()
	module := ""
	if _, err := os.Stat("/usr/lib/nginx/modules/ngx_stream_module.so"); err == nil {
		module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
	}
	nginx := testrequire.Peer(t, "nginx", func(address string) []string {
		conf := fmt.Sprintf(`%s
daemon off; worker_processes 1; pid %s/pid; error_log stderr;
events {}
stream {
  server {
    listen %s proxy_protocol;
    return "$proxy_protocol_addr $proxy_protocol_port";
  }
}`, module, dir, address)
		testpki.WriteFile(t, filepath.Join(dir, "nginx.conf"), []byte(conf))
		return []string{"-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")}
	}, testrequire.InheritedByNginx)
	for name, config := range map[string]string{"tls": streamConfig, "tcp": tcpConfig} {
		t.Run(name, func(t *testing.T) {
			r := startBefore(t, nginx, with(config, `"BACKEND"]`, `"BACKEND"], proxy_protocol: {version: 2}`))
			var conn net.Conn
			if name == "tls" {
				conn = r.dial(r.root.Client("MacID-1")).conn
			} else {
				conn = r.plain("127.0.0.1:0").conn
			}
			told, err := io.ReadAll(conn)
			if want := strings.Replace(conn.LocalAddr().String(), ":", " ", 1); err != nil || string(told) != want {
				t.Errorf("nginx was told %q, %v; want %q", told, err, want)
			}
		})
	}
}
