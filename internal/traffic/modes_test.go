package traffic_test

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

const respond = "{mode: verify, trust_store: fleet, on_failure: respond}"

// on_failure: respond (Traefik #5509): the client learns why in HTTP, as often as
// it asks, and never reaches a backend.
func TestARefusedClientIsToldWhyOnEveryRequest(t *testing.T) {
	for _, tc := range []struct {
		name string
		cert func(root *testpki.Certificate) *testpki.Certificate
		code string
	}{
		{"no certificate", func(*testpki.Certificate) *testpki.Certificate { return nil }, "ClientCertMissing"},
		{"of another authority", func(*testpki.Certificate) *testpki.Certificate {
			return testpki.NewRoot(t, "Another Root").Client("MacID-1")
		}, "ClientCertUntrusted"},
		{"expired", func(root *testpki.Certificate) *testpki.Certificate {
			return root.Client("MacID-1", testpki.Expired())
		}, "ClientCertExpired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", respond))
			c := r.dial(tc.cert(r.root))
			for range 3 {
				c.get().refused(t, 403, tc.code)
			}
			r.stop()
			connections, _ := r.journal.of(event{"event": "connection", "denial_code": tc.code})
			requests, _ := r.journal.of(event{"event": "access", "denial_code": tc.code, "elb_status_code": 403})
			if len(connections) != 1 || len(requests) != 3 {
				t.Errorf("%d lines for the connection and %d for requests, want 1 and 3", len(connections), len(requests))
			}
		})
	}
}

func TestAVerifiedClientIsServedWhereRefusedOnesAreToldWhy(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", respond))
	if h := r.dial(r.root.Client("MacID-1")).get().served(t); h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-1" {
		t.Errorf("the backend got %v", h)
	}
}

// A client that was refused and is told so may come to be accepted, on the same
// connection, when the configuration changes.
func TestARefusedClientThatIsToldWhyIsServedOnceItsAuthorityIsTrusted(t *testing.T) {
	told := with(fleetConfig, "{mode: verify, trust_store: fleet}", respond)
	r := start(t, told)
	other := testpki.NewRoot(t, "Another Root")
	c := r.dial(other.Client("MacID-1"))
	c.get().refused(t, 403, "ClientCertUntrusted")
	r.file("ca.crt", append(r.root.PEM(), other.PEM()...))
	r.publish(told)
	if h := c.get().served(t); h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-1" {
		t.Errorf("the backend got %v", h)
	}
}

// The body of a refused request is not taken for the next request.
func TestTheBodyOfARefusedRequestIsNotARequest(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", respond))
	c := r.dial(nil)
	inner := "GET /inner HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := c.conn.Write([]byte("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(inner)) + "\r\n\r\n" + inner)); err != nil {
		t.Fatal(err)
	}
	c.reply().refused(t, 403, "ClientCertMissing")
	c.ended()
}

func TestAClosedHandshakeTellsTheClientByAnAlert(t *testing.T) {
	r := start(t, fleetConfig)
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 } // in 1.3 the client is done before it is refused
	if _, err := r.try(nil, tls12); err == nil || !strings.Contains(err.Error(), "tls: ") {
		t.Errorf("without a certificate: %v, want an alert", err)
	}
	r.stop()
	lines, _ := r.journal.of(event{"event": "connection", "denial_code": "ClientCertMissing"})
	if len(lines) != 1 {
		t.Errorf("%d lines say so, want one", len(lines))
	}
}

func TestPassthroughTellsTheCertificateAndNoSubject(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", "{mode: passthrough}"))
	h := r.dial(testpki.NewRoot(t, "Anybody").Client("anyone")).get().served(t)
	if h.Get("X-Amzn-Mtls-Clientcert") == "" || h.Get("X-Amzn-Mtls-Clientcert-Subject") != "" {
		t.Errorf("the backend got %v", h)
	}
	if h := r.dial(nil).get("X-Amzn-Mtls-Clientcert: forged").served(t); h.Get("X-Amzn-Mtls-Clientcert") != "" {
		t.Errorf("without a certificate the backend got %v", h)
	}
}

func TestOptionalServesAnonymousAndVerifiedClientsAlone(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", "{mode: optional, trust_store: fleet}"))
	forged := []string{"X-Amzn-Mtls-Clientcert-Subject: CN=admin", "x_amzn_mtls_clientcert_subject: CN=admin"}
	h := r.dial(nil).get(forged...).served(t)
	for name := range h {
		if strings.Contains(strings.ToLower(name), "mtls") {
			t.Errorf("an anonymous client's %s reached the backend", name)
		}
	}
	if h := r.dial(r.root.Client("MacID-1")).get(forged...).served(t); len(h["X-Amzn-Mtls-Clientcert-Subject"]) != 1 || h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-1" {
		t.Errorf("of a verified client the backend got %v", h)
	}
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	if _, err := r.try(testpki.NewRoot(t, "Another Root").Client("MacID-1"), tls12); err == nil {
		t.Error("a certificate that does not verify is let in where none is needed")
	}
}

func TestTheIdentityThatDoesNotFitIsRefusedAndLogged(t *testing.T) {
	small := with(fleetConfig, "identity_headers: [aws]", "identity_headers: [nginx]\n    limits: {header: 256B}")
	r := start(t, small)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().refused(t, 431, "IdentityTooLarge")
	c.get().refused(t, 431, "IdentityTooLarge")
	r.stop()
	requests, _ := r.journal.of(event{"event": "access", "denial_code": "IdentityTooLarge"})
	connections, _ := r.journal.of(event{"event": "connection", "denial_code": "IdentityTooLarge"})
	if len(requests) != 2 || len(connections) != 1 {
		t.Errorf("%d requests and %d connections are logged with the code, want 2 and 1", len(requests), len(connections))
	}
}
