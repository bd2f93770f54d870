package handshake

import (
	"crypto"
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

func (w *witness) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.scheme = tlsname.SignatureScheme(w.Public(), opts)
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
