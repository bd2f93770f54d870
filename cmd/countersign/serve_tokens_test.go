package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/internal/config"
)

func stating(dataDir string) *config.Config {
	return &config.Config{
		Node:      config.Node{DataDir: dataDir, Signing: config.Signing{Rotate: 24 * time.Hour}},
		Listeners: []config.Listener{{Protocol: "https", IdentityHeaders: []config.IdentityHeader{{Token: &config.Token{}}}}},
	}
}

// There are keys from the moment in which the first configuration that needs them
// comes into force, and others only once another data_dir is.
func TestTokensAreSignedByTheKeysOfTheConfigurationInForce(t *testing.T) {
	keys := tokens{logger: slog.New(slog.DiscardHandler)}
	published := func() string { return string(keys.publication().Set()) }
	if _, err := keys.prepare(&config.Config{}); err != nil || published() != "" {
		t.Fatalf("%v: keys %q that nobody needs", err, published())
	}
	if _, err := keys.Sign(nil); err == nil {
		t.Fatal("something is signed without keys")
	}
	one, other := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "other")
	if _, err := keys.prepare(stating(one)); err != nil {
		t.Fatal(err)
	}
	first := published()
	if _, err := keys.Sign([]byte("{}")); err != nil || first == "" {
		t.Fatalf("%v, %q", err, first)
	}
	abandoned, err := keys.prepare(stating(other))
	if err != nil {
		t.Fatal(err)
	}
	if abandoned.Abandon(); published() != first {
		t.Error("a configuration that was refused has changed the keys")
	}
	same, err := keys.prepare(stating(one))
	if err != nil {
		t.Fatal(err)
	}
	if same.Apply(); published() != first {
		t.Error("a reload has changed the keys")
	}
	changed, err := keys.prepare(stating(other))
	if err != nil {
		t.Fatal(err)
	}
	if changed.Apply(); published() == first {
		t.Error("another data_dir has the same keys")
	}
	keys.stop()
}
