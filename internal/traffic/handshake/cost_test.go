package handshake

import (
	"context"
	"crypto/tls"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify"
)

// What a connection costs on top of crypto/tls's own work: one record with its
// configuration inside, one of the handshake, four bound methods, the context value.
func TestAConnectionCostsFewAllocations(t *testing.T) {
	w := newWorld(t)
	policy := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})})
	hello := &tls.ClientHelloInfo{ServerName: "api.example.com"}
	var config *tls.Config
	if n := testing.AllocsPerRun(100, func() {
		k := &remains{session: &session{server: s}}
		_ = context.WithValue(context.Background(), sessionKey{}, k)
		config = k.choose(hello)
	}); n > 7 {
		t.Errorf("%v allocations a connection, want at most 7", n)
	}
	if config.UnwrapSession == nil || config.VerifyConnection == nil {
		t.Error("the configuration is not complete")
	}
}

func BenchmarkHandshake(b *testing.B) {
	w := newWorld(b)
	device := w.root.Client("device")
	for _, resume := range []bool{false, true} {
		name := map[bool]string{false: "full", true: "resumed"}[resume]
		b.Run(name, func(b *testing.B) {
			policy := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(b, "fleet", verify.Config{}, w.root), Resumption: resume}
			s := newServer(b, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(b, policy), Keys: NewTicketKeys(TicketKeysConfig{})})
			r := newRig(b, s)
			config := w.client("api.example.com", device)
			config.ClientSessionCache = &pocket{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err, _ := r.connect(config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
