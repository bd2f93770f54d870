package handshake

import (
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign.dev/internal/traffic/handshake/servername"
)

// A selection finds the certificate for a ClientHello: by exact name, else by
// wildcard, else the default. Where several fit, the first that the client can
// use, ECDSA before RSA, which costs three times the time to sign.
type selection struct {
	exact  map[string][]*tls.Certificate
	parent map[string][]*tls.Certificate // "example.com" for "*.example.com"
	def    []*tls.Certificate
}

func newSelection(certs []Certificate) (*selection, error) {
	if len(certs) == 0 {
		return nil, errors.New("no certificate: want at least one to prove the server's identity with")
	}
	s := &selection{exact: map[string][]*tls.Certificate{}, parent: map[string][]*tls.Certificate{}}
	for i := range certs {
		c := &certs[i]
		if c.TLS.Leaf == nil || c.TLS.PrivateKey == nil {
			return nil, fmt.Errorf("certificate %d: without leaf or key: want one made by LoadCertificate", i+1)
		}
		for _, name := range c.Names {
			table := s.exact
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				name, table = rest, s.parent
			}
			table[name] = append(table[name], &c.TLS)
		}
		// The default is the first one, with its twins of other key types.
		if i == 0 || sameNames(c.Names, certs[0].Names) {
			s.def = append(s.def, &c.TLS)
		}
	}
	for _, table := range []map[string][]*tls.Certificate{s.exact, s.parent, {"": s.def}} {
		for _, list := range table {
			slices.SortStableFunc(list, func(a, b *tls.Certificate) int { return cmp.Compare(cost(a), cost(b)) })
		}
	}
	return s, nil
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func cost(c *tls.Certificate) int {
	if _, ok := c.Leaf.PublicKey.(*rsa.PublicKey); ok {
		return 1
	}
	return 0
}

// pick is tls.Config.GetCertificate.
func (s *selection) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := s.def
	if name, err := servername.Normalize(hello.ServerName); err == nil && name != "" {
		list = s.named(name)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	able := *hello
	able.ServerName = "" // ask about keys alone, the name is settled
	for _, c := range list {
		if able.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return list[0], nil // crypto/tls says what does not fit
}

func (s *selection) named(name string) []*tls.Certificate {
	if list := s.exact[name]; list != nil {
		return list
	}
	if dot := strings.IndexByte(name, '.'); dot >= 0 {
		if list := s.parent[name[dot+1:]]; list != nil {
			return list
		}
	}
	return s.def
}
