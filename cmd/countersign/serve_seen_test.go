package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"countersign.dev/internal/config"
)

func TestWhoIsSeenIsRememberedWhereTheConfigurationSays(t *testing.T) {
	r := &remembering{logger: slog.New(slog.DiscardHandler)}
	defer r.stop()
	first, second := t.TempDir(), t.TempDir()
	apply := func(node config.Node) { r.prepare(node).Apply() }

	apply(config.Node{SeenClients: 10})
	if r.witness.Memory() != nil {
		t.Error("without a data_dir somebody is remembered")
	}
	apply(config.Node{DataDir: first, SeenClients: 10})
	memory := r.witness.Memory()
	if memory == nil {
		t.Fatal("nobody is remembered")
	}
	apply(config.Node{DataDir: first, SeenClients: 20})
	if r.witness.Memory() != memory {
		t.Error("another number is another memory")
	}
	r.prepare(config.Node{DataDir: second, SeenClients: 20}).Abandon()
	if r.witness.Memory() != memory {
		t.Error("a configuration that was refused has changed what is remembered")
	}
	apply(config.Node{DataDir: second, SeenClients: 20})
	if now := r.witness.Memory(); now == nil || now == memory {
		t.Error("another data_dir is the same memory")
	}
	apply(config.Node{DataDir: first, SeenClients: 20}) // which the one before has released
	if r.witness.Memory() == nil {
		t.Error("the first data_dir cannot be used again")
	}
	apply(config.Node{DataDir: first})
	if r.witness.Memory() != nil {
		t.Error("with seen_clients 0 somebody is remembered")
	}

	// A place where nothing can be kept stops nobody.
	if err := os.WriteFile(filepath.Join(second, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	apply(config.Node{DataDir: filepath.Join(second, "file"), SeenClients: 20})
	if r.witness.Memory() != nil {
		t.Error("somebody is remembered in a file that is no directory")
	}
}
