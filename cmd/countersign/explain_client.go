package main

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/proxyproto"
)

// admits asks what live traffic asks about a client that presents those certificates:
// here, or to a balancer in front, which finds them good and says so. The client is
// good until that moment; the zero time is for ever.
func admits(ctx context.Context, l *snapshot.Listener, policy *handshake.Policy, presented []*x509.Certificate, trace func(verify.Step)) (client identify.Client, until time.Time, denial *countersign.Denial, err error) {
	client = identify.Anonymous()
	var voucher proxied.Voucher
	if l.Vouching != nil {
		if voucher, denial, err = vouch(l.Vouching, presented, trace); err != nil || denial != nil {
			return client, until, denial, err
		}
		presented = voucher.Presented()
	} else if err := policy.Prepare(ctx, presented, time.Now(), nil); err != nil {
		return client, until, nil, err
	}
	chain, denial := policy.Admit(presented, time.Now(), trace)
	switch {
	case denial != nil:
	case l.Vouching != nil:
		client, denial = identify.Vouched(voucher, chain)
	case !chain.IsZero():
		client, denial = identify.From(chain)
	}
	return client, chain.GoodUntil(), denial, nil
}

// A comer is a client at a listener: under which policy, and whether it is admitted.
type comer struct {
	name   string // that it asks for
	policy *handshake.Policy
	client identify.Client
	denial *countersign.Denial // nil: it is admitted
}

// comes has a client with these certificates come to l, asking for sni.
func comes(ctx context.Context, l *snapshot.Listener, presented []*x509.Certificate, sni string) (c comer, err error) {
	if c.name, err = handshake.NormalizeName(sni); err != nil {
		return c, err
	}
	c.policy = l.Policies.For(c.name)
	c.client, _, c.denial, err = admits(ctx, l, c.policy, presented, nil)
	return c, err
}

// vouch has the first balancer that may say who a client is say it, by a header that
// is read as one from the network.
func vouch(v *proxied.Vouching, presented []*x509.Certificate, trace func(verify.Step)) (proxied.Voucher, *countersign.Denial, error) {
	balancer := v.From[0].Addr()
	c := &proxyproto.Connection{
		Source: netip.AddrPortFrom(netip.IPv4Unspecified(), 0), Destination: netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
		TLS: &proxyproto.TLS{},
	}
	said := "that the client has shown no certificate"
	if len(presented) > 0 {
		c.TLS.Presented, c.TLS.Verified = true, true
		c.TLS.CommonName, c.TLS.Certificate = presented[0].Subject.CommonName, presented[0].Raw
		said = "the client's certificate (CLIENT_CERT, 0x28), which it found good; by the common name alone "
		if v.Certificate {
			said += "the client would be refused, ClientNotVouched, since the trust store verifies certificates"
		} else {
			said += "the client would be that name and no more"
		}
	}
	b, err := proxyproto.Plan{Version: 2, Fields: proxyproto.SSL | proxyproto.ClientCert}.Header(c)
	if err != nil {
		return proxied.Voucher{}, nil, err
	}
	h, err := proxyproto.Parse(b)
	if err != nil {
		return proxied.Voucher{}, nil, err
	}
	if trace != nil {
		trace(verify.Step{Check: "proxied", OK: true, Detail: "TLS ends at a balancer (client_auth.from: " + v.From[0].String() + "), which is taken to tell in its PROXY header " + said})
	}
	voucher, denial := v.Take(balancer, h)
	return voucher, denial, nil
}
