package telemetry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestLevelsAndFormats(t *testing.T) {
	var out bytes.Buffer
	logger, err := NewLogger("warn", "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	derived := logger.With("a", 1).WithGroup("g")
	derived.Info("unseen")
	if out.Len() != 0 {
		t.Errorf("info at level warn: %s", out.String())
	}
	if err := SetLevel(logger, "debug"); err != nil {
		t.Fatal(err)
	}
	derived.Debug("seen", "b", 2)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if got["msg"] != "seen" || got["a"] != 1. || got["g"].(map[string]any)["b"] != 2. {
		t.Errorf("got %v", got)
	}
	// A derived logger reaches the same level.
	if err := SetLevel(derived, "error"); err != nil {
		t.Fatal(err)
	}
	if logger.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("warn is enabled at level error")
	}

	out.Reset()
	text, err := NewLogger("", "", &out)
	if err != nil {
		t.Fatal(err)
	}
	text.Info("two\nlines", "dn", "CN=a\nlevel=ERROR")
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=INFO") {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

func TestLoggerRefuses(t *testing.T) {
	for _, c := range []struct{ level, format, want string }{
		{"loud", "text", `log level "loud": want debug, info, warn or error`},
		{"info", "xml", `log format "xml": want text or json`},
	} {
		if l, err := NewLogger(c.level, c.format, new(bytes.Buffer)); err == nil || err.Error() != c.want || l != nil {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if err := SetLevel(slog.New(slog.DiscardHandler), "info"); err == nil {
		t.Error("the level of a foreign logger: want an error")
	}
	logger, _ := NewLogger("", "", new(bytes.Buffer))
	if err := SetLevel(logger, "loud"); err == nil {
		t.Error("level loud: want an error")
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	inner := strings.Split(block, "\n")[1]
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		logger, err := NewLogger("debug", format, &out)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info(block)
		logger.Info("m", "file", block)
		logger.Info("m", "raw", []byte(block))
		logger.Info("m", "error", fmt.Errorf("cannot parse: %w", errors.New(block)))
		logger.Info("m", "key", key, "certificate", tls.Certificate{PrivateKey: key}, "config", &tls.Config{})
		logger.Info("m", slog.Group("g", "Password", "hunter2", "token", 7, "authorization", "Basic aHVudGVyMg=="))
		logger.With("secret", "hunter2").WithGroup("deep").Info("m", "cookie", "hunter2")
		got := out.String()
		for _, secret := range []string{inner, "hunter2", "aHVudGVyMg", key.D.String(), "PRIVATE KEY"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %q is in the log:\n%s", format, secret, got)
			}
		}
		if !strings.Contains(got, redacted) {
			t.Errorf("%s: nothing was redacted:\n%s", format, got)
		}
		out.Reset()
		logger.Info("all is well", "subject", "CN=a", "error", errors.New("no such file"))
		if got := out.String(); !strings.Contains(got, "CN=a") || !strings.Contains(got, "no such file") {
			t.Errorf("%s: harmless text is missing: %s", format, got)
		}
	}
}
