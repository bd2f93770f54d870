package ca

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/control/ca/succession"
)

func TestOperatorsAreWarnedInTime(t *testing.T) {
	a, c := found(t)
	if notes := a.foresee(); len(notes) > 0 {
		t.Errorf("%q at the beginning", notes)
	}
	c.advance(lists.RootLifetime - 29*day)
	if notes := a.foresee(); len(notes) != 1 || !strings.Contains(notes[0], "root's revocation list ends on") {
		t.Errorf("%q, want that the root's list ends", notes)
	}
	c.advance(DefaultIssuingLifetime - lists.RootLifetime - DefaultLifetime + 30*day)
	if notes := a.foresee(); len(notes) != 2 || !strings.Contains(notes[1], "countersign ca rollover") {
		t.Errorf("%q, want that the issuing authority ends", notes)
	}
	if _, err := a.Rollover(t.Context(), succession.Next{Lifetime: DefaultIssuingLifetime}); err != nil {
		t.Fatal(err)
	}
	if notes := a.foresee(); len(notes) != 0 {
		t.Errorf("%q after a rollover, which signs the root's list too", notes)
	}
}

func TestKeepEndsWithItsContext(t *testing.T) {
	a, _ := found(t)
	if err := os.Remove(a.Path(directory.CRLFile)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	logged := make(logLines, 10)
	done := make(chan struct{})
	go func() { defer close(done); a.Keep(ctx, slog.New(slog.NewTextHandler(logged, nil))) }()
	if line := <-logged; !strings.Contains(line, "revocation lists signed") {
		t.Error(line)
	}
	cancel()
	<-done
}

type logLines chan string

func (l logLines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

func TestCertifyLeavesNothingForWhoHasGone(t *testing.T) {
	a, _ := found(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key, err := issuance.ECDSAP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Certify(ctx, issuance.Request{Subject: []byte("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x"), PublicKey: key.Public()})
	if err == nil || issued.Certificate != nil {
		t.Errorf("%+v, %v; want nothing", issued, err)
	}
	for _, p := range []issuance.Profile{issuance.Root, issuance.Issuing, issuance.OCSP} {
		if _, err := a.Certify(t.Context(), issuance.Request{Profile: p, PublicKey: key.Public()}); err == nil {
			t.Errorf("a certificate of the profile %s was issued", p)
		}
	}
	if all, err := collect(a); err != nil || len(all) != 2 {
		t.Errorf("%d certificates on record, %v", len(all), err)
	}
}
