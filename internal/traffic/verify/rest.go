package verify

import (
	"bytes"
	"crypto/x509"
)

// Rest has the chain hold its certificates as they were sent, which takes a
// fifth of the memory of parsed ones; those of authorities it shares with other
// chains. It proves what it proved: they are parsed again, each time, when they
// are asked for. Nobody else may be using the chain, or a copy of it.
func (c Chain) Rest() {
	if c.proof != nil && c.proof.encoded == nil {
		c.proof.rest()
	}
}

func (p *proof) rest() {
	presented := make([]*x509.Certificate, len(p.presented))
	p.encoded = make([][]byte, len(p.presented))
	for i, cert := range p.presented {
		if presented[i] = p.shared(i); presented[i] == nil {
			p.encoded[i] = bytes.Clone(cert.Raw) // which is a part of the message it came in
		}
	}
	p.presented = presented // the other one may be crypto/tls's as well
	if p.path != nil {
		p.path[0] = nil
	}
}

// Wake undoes Rest: the certificates are parsed, once for all who ask for them.
// Nobody else may be using the chain, or a copy of it.
func (c Chain) Wake() {
	if c.proof == nil || c.proof.encoded == nil {
		return
	}
	presented := c.Presented()
	if presented == nil {
		return // and nobody is admitted by it
	}
	c.proof.presented, c.proof.encoded = presented, nil
	if c.proof.path != nil {
		c.proof.path[0] = presented[0]
	}
}

// shared finds the i-th certificate among those of the path, which chains have
// in common. The leaf is the client's own.
func (p *proof) shared(i int) *x509.Certificate {
	if i == 0 || len(p.path) == 0 {
		return nil
	}
	for _, cert := range p.path[1:] {
		if bytes.Equal(cert.Raw, p.presented[i].Raw) {
			return cert
		}
	}
	return nil
}

// certificate returns the i-th certificate presented. It is nil if one that
// parsed does not parse again: nobody is admitted by that.
func (p *proof) certificate(i int) *x509.Certificate {
	if cert := p.presented[i]; cert != nil {
		return cert
	}
	cert, err := x509.ParseCertificate(p.encoded[i])
	if err != nil {
		return nil
	}
	return cert
}
