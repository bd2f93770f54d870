package handshake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"io"

	"countersign.dev/internal/wire/tlsname"
)

// A witness is the key of a certificate for one handshake, that notes by which
// scheme it signs: crypto/tls tells nobody.
type witness struct {
	crypto.Signer
	scheme string
}

// Sign is crypto.Signer's. ECDSA in this process takes its nonce from key and digest
// alone (RFC 6979, FIPS 186-5 section A.3.3): no digest comes a second time, since a
// random number of ours is in each, so that more randomness would protect nothing; and
// it is less work.
func (w *witness) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.scheme = tlsname.SignatureScheme(w.Public(), opts)
	if _, own := w.Signer.(*ecdsa.PrivateKey); own {
		rand = nil
	}
	return w.Signer.Sign(rand, digest, opts)
}

// A decrypter is a witness whose key can decrypt, too, for cipher suites without
// forward secrecy.
type decrypter struct {
	*witness
	key crypto.Decrypter
}

func (d decrypter) Decrypt(rand io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return d.key.Decrypt(rand, msg, opts)
}

// watched returns c with w in front of its key.
func (w *witness) watched(c *tls.Certificate) *tls.Certificate {
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return c
	}
	w.Signer = signer
	noted := *c
	noted.PrivateKey = w
	if key, ok := signer.(crypto.Decrypter); ok {
		noted.PrivateKey = decrypter{w, key}
	}
	return &noted
}
