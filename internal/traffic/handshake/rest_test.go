package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"runtime"
	"testing"
	"time"
	"weak"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify"
)

// resting makes a connection whose client has been judged, and has it rest.
func resting(t *testing.T, maxVersion uint16) (client, conn *tls.Conn, out Outcome, leaf weak.Pointer[x509.Certificate]) {
	w := newWorld(t)
	issuing := w.root.Intermediate("Issuing")
	policy := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})})
	near, far := pair(t)
	config := w.client("api.example.com", issuing.Client("device"))
	config.MaxVersion = maxVersion
	client = tls.Client(near, config)
	shook := make(chan error, 1)
	go func() { shook <- client.Handshake() }()
	conn, out = s.Handshake(context.Background(), far, nil)
	if err := <-shook; err != nil || out.Denial != nil {
		t.Fatal(err, out.Denial)
	}
	leaf = weak.Make(out.Chain.Leaf())
	out.Rest()
	return client, conn, out, leaf
}

// What crypto/tls holds is given up with the rest: if it came to hold a copy,
// this would show.
func TestAConnectionAtRestHoldsNoParsedCertificate(t *testing.T) {
	_, conn, out, leaf := resting(t, tls.VersionTLS13)
	for range 3 {
		runtime.GC()
	}
	if leaf.Value() != nil {
		t.Error("somebody holds the client's certificate still")
	}
	runtime.KeepAlive(conn)
	runtime.KeepAlive(out)
}

// The connection goes on as if nothing had been, in either version of TLS.
func TestAConnectionAtRestGoesOn(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, conn, _, _ := resting(t, version)
		for range 3 {
			go client.Write([]byte("ping"))
			b := make([]byte, 4)
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != "ping" {
				t.Fatalf("%s: %q, %v", tls.VersionName(version), b, err)
			}
			go conn.Write([]byte("pong"))
			if _, err := io.ReadFull(client, b); err != nil || string(b) != "pong" {
				t.Fatalf("%s: %q, %v", tls.VersionName(version), b, err)
			}
		}
		if err := conn.CloseWrite(); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestAClientAtRestIsJudgedAsBefore(t *testing.T) {
	_, _, out, _ := resting(t, tls.VersionTLS13)
	before := out.Chain
	path, presented := before.Path(), before.Presented()
	if !before.Verified() || len(path) != 3 || len(presented) != 2 || presented[0].Subject.CommonName != "device" || !path[0].Equal(before.Leaf()) {
		t.Fatalf("at rest: verified %v, path of %d, %d presented", before.Verified(), len(path), len(presented))
	}
	policy := out.Policy
	if d := out.Again(policy, time.Now()); d != nil || !out.Chain.Leaf().Equal(presented[0]) {
		t.Errorf("again: %v", d)
	}
	out.Rest()
	if d := out.Again(policy, time.Now().Add(100*365*24*time.Hour)); d == nil || d.Code != countersign.ClientCertExpired || !out.Chain.IsZero() {
		t.Errorf("in a hundred years: %v", d)
	}
	out.Rest() // of a client that has lost its standing
	if d := out.Again(policy, time.Now()); d != nil {
		t.Errorf("and back: %v", d)
	}
}
