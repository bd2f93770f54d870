package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeyRules says which public keys a trust store takes, of clients and of CAs.
// Zero fields take AWS's rules: RSA from 2048 to 8192 bits, ECDSA on P-256,
// P-384 and P-521, no Ed25519.
type KeyRules struct {
	RSAMin  int      // bits; 0: 2048
	RSAMax  int      // bits; 0: 8192, which is also the most: crypto/tls takes no larger one
	ECDSA   []string // names of curves; nil: P-256, P-384, P-521
	Ed25519 bool
}

const largestRSA = 8192

func (k KeyRules) withDefaults() (KeyRules, error) {
	if k.RSAMin == 0 {
		k.RSAMin = 2048
	}
	if k.RSAMax == 0 {
		k.RSAMax = largestRSA
	}
	curves := []string{"P-256", "P-384", "P-521"}
	var errs []error
	if k.RSAMin < 1024 || k.RSAMin > k.RSAMax || k.RSAMax > largestRSA {
		errs = append(errs, fmt.Errorf("keys: RSA from %d to %d bits; want a range within 1024 to %d", k.RSAMin, k.RSAMax, largestRSA))
	}
	for _, c := range k.ECDSA {
		if !slices.Contains(curves, c) {
			errs = append(errs, fmt.Errorf("keys: ECDSA curve %q; want %s", c, strings.Join(curves, ", ")))
		}
	}
	if k.ECDSA == nil {
		k.ECDSA = curves
	}
	return k, errors.Join(errs...)
}

// check says what is wrong with a public key, "" if nothing.
func (k *KeyRules) check(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < k.RSAMin || n > k.RSAMax {
			return fmt.Sprintf("its RSA key has %d bits; want %d to %d: issue it for another key, or change keys.rsa_min or keys.rsa_max of the trust store", n, k.RSAMin, k.RSAMax)
		}
	case *ecdsa.PublicKey:
		if curve := key.Curve.Params().Name; !slices.Contains(k.ECDSA, curve) {
			return fmt.Sprintf("its key is on the curve %s; want %s: issue it for another key, or change keys.ecdsa of the trust store", curve, strings.Join(k.ECDSA, ", "))
		}
	case ed25519.PublicKey:
		if !k.Ed25519 {
			return "its key is Ed25519, which keys.ed25519 of the trust store does not allow; set it, or issue the certificate for an ECDSA key"
		}
	default:
		return "its key is of a type that is not supported; want RSA or ECDSA: issue it for such a key"
	}
	return ""
}

// checkSignature says what is wrong with the algorithm of c's signature, "" if
// nothing. Whether the signature is right is another question.
func (k *KeyRules) checkSignature(c *x509.Certificate) string {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return ""
	case x509.PureEd25519:
		if !k.Ed25519 {
			return "it is signed with Ed25519, which keys.ed25519 of the trust store does not allow; set it, or let the CA have an ECDSA key"
		}
		return ""
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA, x509.DSAWithSHA1:
		return fmt.Sprintf("it is signed with %s, which can be forged; let the CA issue it again with SHA-256", c.SignatureAlgorithm)
	}
	return "its signature algorithm is not supported; want RSA, RSA-PSS or ECDSA with SHA-256, SHA-384 or SHA-512: let the CA issue it again"
}
