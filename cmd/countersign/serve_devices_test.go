package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/testrequire"
)

const sharedConfigText = `node: {admin: "127.0.0.1:0", data_dir: data, store: "file:url"}
devices: {id: {form: mac}}
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, default: {forward: app}}
target_groups:
  - {name: app, targets: ["127.0.0.1:9"]}
`

// sharing starts a gateway with a directory of its own on the database at store.
func sharing(t *testing.T, store string) (*client.Client, *lockedBuffer, error) {
	t.Helper()
	dir := t.TempDir()
	log := new(lockedBuffer)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "url"), []byte(store+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "countersign.yaml"), []byte(sharedConfigText), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(gatewayConfig{File: filepath.Join(dir, "countersign.yaml"), Out: io.Discard, Err: log, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.start(t.Context()); err != nil {
		return nil, log, errors.Join(err, g.stop())
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	bound := regexp.MustCompile(operators).FindStringSubmatch(log.String())
	if bound == nil {
		t.Fatalf("the log has no admin address:\n%s", log)
	}
	c, err := client.New(client.Config{Address: bound[1], TokenFile: filepath.Join(dir, "data", "api.token"), Timeout: wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, log, nil
}

func TestNodesShareTheirDevicesInPostgreSQL(t *testing.T) {
	server := testrequire.PostgreSQL(t)
	one, _, err := sharing(t, server)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := sharing(t, server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.AddDevice(t.Context(), client.NewDevice{ID: "001a2b3c4d5e", Labels: map[string]string{"site": "a"}}); err != nil {
		t.Fatal(err)
	}
	report, err := two.ImportDevices(t.Context(), strings.NewReader("id,label.site\n00-1a-2b-3c-4d-5e,b\n001a2b3c4d5f,b\n"), client.DeviceImport{Format: "csv"})
	if err != nil || report.Created != 1 || report.Updated != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := one.ChangeDevice(t.Context(), "001a2b3c4d5f", "retire", "broken"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for d, err := range two.Devices(t.Context(), client.DeviceFilter{Labels: map[string]string{"site": "b"}}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[d.ID] = d.State
	}
	if len(seen) != 2 || seen["00:1A:2B:3C:4D:5E"] != "provisioned" || seen["00:1A:2B:3C:4D:5F"] != "retired" {
		t.Errorf("the other node has %v", seen)
	}
	f, err := two.Device(t.Context(), "001a2b3c4d5e")
	if err != nil || len(f.Trail) != 2 || f.TrailFault != "" || f.Trail[1].Detail != "label site=b, was a" || time.Since(f.Trail[1].At) > wait {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestANodeDoesNotStartWithoutItsStore(t *testing.T) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("ann", "hunter2"), Path: "/fleet", RawQuery: url.Values{"host": {t.TempDir()}}.Encode()}
	_, log, err := sharing(t, u.String())
	if err == nil || !strings.Contains(err.Error(), "node.store") || !strings.Contains(err.Error(), "look whether postgres://ann@") {
		t.Errorf("the start ends with %v", err)
	}
	if err != nil && strings.Contains(err.Error()+log.String(), "hunter2") {
		t.Errorf("the password is told: %v\n%s", err, log)
	}
}
