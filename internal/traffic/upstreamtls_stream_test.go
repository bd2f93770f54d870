package traffic_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
)

// streamedOver is streamed with a party that is reached over TLS, and wants our
// certificate.
func streamedOver(t *testing.T, config string) (r *rig, in *inside, both func() (client, target *end)) {
	t.Helper()
	r, p := streamed(t, with(config, `{name: app, protocol: tcp, targets: ["BACKEND"]}`, `{name: app, protocol: tcp, targets: ["127.0.0.1:1"]}`))
	in = newInside(t)
	in.root.Client("gateway").Write(r.dir, "gateway")
	r.file("inside.crt", in.root.PEM())
	r.publish(with(config, `protocol: tcp, targets: ["BACKEND"]`,
		`protocol: tls, targets: ["BACKEND"], tls: {ca_bundle: inside.crt, certificate: {cert: gateway.crt, key: gateway.key}, alpn: [mqtt]}`))
	cfg := &tls.Config{Certificates: []tls.Certificate{in.root.Server("127.0.0.1").TLS()}, NextProtos: []string{"mqtt"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: in.root.Pool()}
	device := r.root.Client("MacID-1")
	return r, in, func() (client, target *end) {
		t.Helper()
		var conn net.Conn
		if r.node.Current().Listeners[0].TLS != nil {
			conn = r.dial(device).conn
		} else {
			conn = r.plain("127.0.0.1:0").conn
		}
		raw := <-p.came
		raw.SetDeadline(time.Now().Add(patience))
		over := tls.Server(raw, cfg)
		if err := over.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := over.ConnectionState(); s.PeerCertificates[0].Subject.CommonName != "gateway" || s.NegotiatedProtocol != "mqtt" {
			t.Errorf("the target sees %q, which speaks %q", s.PeerCertificates[0].Subject.CommonName, s.NegotiatedProtocol)
		}
		return newEnd(t, conn), newEnd(t, over)
	}
}

func TestBytesReachATargetOverTLS(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, _, both := streamedOver(t, config)
		client, target := both()
		target.say("banner") // before anything came
		client.hear("banner")
		client.say("hello")
		target.hear("hello")
		// Silence, of which nothing may be lost; then so much that it goes in bulk.
		r.until("it is silent", func() bool { return r.node.Parked() > 0 })
		much := make([]byte, 3<<20)
		source := rand.NewChaCha8([32]byte{1})
		source.Read(much)
		for _, way := range [][2]*end{{client, target}, {target, client}} {
			sent := make(chan error, 1)
			go func() { _, err := way[0].conn.Write(much); sent <- err }()
			got := make([]byte, len(much))
			if n, err := io.ReadFull(way[1].conn, got); err != nil || !bytes.Equal(got, much) {
				t.Fatalf("%d of %d bytes came as they were sent: %v", n, len(much), err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		client.through()
		target.hearsEnd()
		target.say("one more thing")
		client.hear("one more thing")
		target.through()
		client.hearsEnd()
		r.journal.wait(t, event{"event": "stream", "end": "finished", "received_bytes": float64(5 + len(much)), "sent_bytes": float64(6 + len(much) + 14)})
	})
}

// What the target does not take is a refusal in the log, and not a byte goes
// without TLS.
func TestBytesForATargetThatDoesNotProveItselfGoNowhere(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		r.file("inside.crt", testpki.NewRoot(t, "Inside Root").PEM())
		r.publish(with(config, "protocol: tcp, targets", "protocol: tls, tls: {ca_bundle: inside.crt}, targets"))
		var conn net.Conn
		if r.node.Current().Listeners[0].TLS != nil {
			conn = r.dial(r.root.Client("MacID-1")).conn
		} else {
			conn = r.plain("127.0.0.1:0").conn
		}
		client := newEnd(t, conn)
		client.say("secret")
		raw := <-p.came
		raw.SetDeadline(time.Now().Add(patience))
		io.WriteString(raw, "220 ready\r\n")
		if b, _ := io.ReadAll(raw); bytes.Contains(b, []byte("secret")) {
			t.Errorf("it went without TLS: %q", b)
		}
		r.journal.wait(t, event{"event": "stream", "denial_code": "TargetHandshakeFailed"})
	})
}

// The client's choice is offered to the target, which may have none to make (RFC 7301
// section 3.1); the group may have another word.
func TestTheProtocolOfTheClientIsOfferedToTheTarget(t *testing.T) {
	const plain, listening = `{name: app, protocol: tcp, targets: ["BACKEND"]}`, "certificates: [{cert: server.crt, key: server.key}]"
	for _, c := range []struct {
		name, group    string
		client, target []string
		offered        []string
		fe, be, denied string
	}{
		{name: "it is passed on", client: []string{"other", "mqtt"}, target: []string{"mqtt"}, offered: []string{"mqtt"}, fe: "mqtt", be: "mqtt"},
		{name: "the second of ours", client: []string{"amqp"}, target: []string{"mqtt", "amqp"}, offered: []string{"amqp"}, fe: "amqp", be: "amqp"},
		{name: "the target knows no ALPN", client: []string{"mqtt"}, offered: []string{"mqtt"}, fe: "mqtt"},
		{name: "the client knows no ALPN", target: []string{"mqtt"}},
		{name: "the group has its own", group: ", alpn: [x-broker, amqp]", client: []string{"mqtt"}, target: []string{"amqp"}, offered: []string{"x-broker", "amqp"}, fe: "mqtt", be: "amqp"},
		{name: "the target speaks another", client: []string{"mqtt"}, target: []string{"amqp"}, offered: []string{"mqtt"}, fe: "mqtt", denied: "TargetProtocolMismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newParty(t)
			inside := testpki.NewRoot(t, "Inside Root")
			r := startWith(t, p.address, streamConfig, traffic.Config{})
			r.file("inside.crt", inside.PEM())
			r.publish(with(streamConfig, listening, listening+"\n    tls: {alpn: [mqtt, amqp]}", plain,
				`{name: app, protocol: tls, targets: ["BACKEND"], tls: {ca_bundle: inside.crt`+c.group+`}}`))
			conn := r.dial(r.root.Client("MacID-1"), func(cfg *tls.Config) { cfg.NextProtos = c.client }).conn
			var offered []string
			serving := &tls.Config{Certificates: []tls.Certificate{inside.Server("127.0.0.1").TLS()}, NextProtos: c.target}
			over := tls.Server(p.next(t).conn, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				offered = hello.SupportedProtos
				return serving, nil
			}})
			err := over.HandshakeContext(t.Context())
			if !slices.Equal(offered, c.offered) {
				t.Errorf("the target is offered %q, want %q", offered, c.offered)
			}
			if (err != nil) != (c.denied != "") {
				t.Fatalf("the target says %v", err)
			}
			want := event{"event": "stream", "end": "finished"}
			if c.denied != "" {
				over.Close()
				want = event{"event": "stream", "end": "refused", "denial_code": c.denied}
			} else {
				client, target := newEnd(t, conn), newEnd(t, over)
				client.say("hello")
				target.hear("hello")
				client.through()
				target.hearsEnd()
				target.through()
				client.hearsEnd()
			}
			if c.fe != "" {
				want["alpn"] = c.fe
			}
			if c.be != "" {
				want["target_alpn"] = c.be
			}
			line := r.journal.wait(t, want)
			if _, there := line["target_alpn"]; there != (c.be != "") {
				t.Errorf("the line has the target's protocol %v", line["target_alpn"])
			}
		})
	}
}
