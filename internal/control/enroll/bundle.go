package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/identify"
)

// unseal hands out what was uploaded: the key is gone from the store before it is
// on its way, so that nobody else gets it, whatever happens.
func (a *attempt) unseal(d *store.EnrollmentDraft) (*Delivery, error) {
	e := &d.Enrollment
	switch {
	case a.Keyless:
		return nil, refuse(406, "EnrollmentNotAcceptable", "The answer has a private key in it, which cannot be sent in that form.",
			"a finished bundle was uploaded for it, which is handed out in PEM alone")
	case a.office.Box == nil:
		return nil, errors.New("this node has no key to open what was uploaded: node.data_dir is not set")
	}
	key, err := a.office.Box.Open(e.SealedKey, a.id)
	if err != nil {
		return nil, fmt.Errorf("the uploaded key: %w", err)
	}
	chain, err := parseChain(e.Chain)
	if err != nil {
		return nil, err
	}
	a.key = keyDigest(chain[0])
	e.Taken, d.NewKey = a.key, a.key
	e.SealedKey, e.Chain = nil, nil
	if err := a.deliver(d, chain[0], "with its key handed to"); err != nil {
		return nil, err
	}
	return &Delivery{Device: a.id, Chain: chain, Key: key}, nil
}

// Upload keeps a finished bundle for a device: in PEM its certificate, those
// behind it, and its private key. It is handed out once.
func (d *Desk) Upload(ctx context.Context, by device.Author, id string, bundle []byte) error {
	o, id, err := d.operated(by, id)
	if err != nil {
		return err
	}
	if o.Box == nil {
		return refused("nothing can be sealed: set node.data_dir, where the key of the node is kept")
	}
	chain, key, err := readBundle(bundle)
	if err != nil {
		return refused("the bundle: %w", err)
	}
	who := identify.Presented(chain[0])
	if who == nil {
		return refused("the certificate of the bundle cannot be described")
	}
	switch named, err := o.IDs.Of(who); {
	case err != nil:
		return refused("the certificate of the bundle: %w", err)
	case named != id:
		return refused("the certificate of the bundle is that of %s, not of %s", named, id)
	case d.now().After(chain[0].NotAfter):
		return refused("the certificate of the bundle expired on %s", stamp(chain[0].NotAfter))
	}
	_, err = o.Store.Enrollments.Enroll(ctx, id, func(e *store.EnrollmentDraft) error {
		if err := waits(e); err != nil {
			return err
		}
		if c := o.claim(&e.Enrollment); c == ClaimKey || c == ClaimApproval {
			return refused("the claim of %s is %s, for which the device makes its key itself: countersign device claim %s --secret", id, c, id)
		}
		e.Enrollment.Chain, e.Enrollment.SealedKey = encodeChain(chain), o.Box.Seal(key, id)
		e.Entry = d.entry(by, "bundle", "certificate "+serial(chain[0])+" with its key, until "+stamp(chain[0].NotAfter))
		return nil
	})
	return err
}

func readBundle(data []byte) (chain []*x509.Certificate, key []byte, err error) {
	var signer crypto.Signer
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, c)
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			if signer != nil {
				return nil, nil, errors.New("it has two private keys")
			}
			if signer, err = parseKey(block); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("it has a %s: expected certificates and one private key that is not encrypted", block.Type)
		}
	}
	switch {
	case len(bytes.TrimSpace(data)) > 0:
		return nil, nil, errors.New("it is not PEM to its end")
	case len(chain) == 0 || signer == nil:
		return nil, nil, fmt.Errorf("it has %d certificates and %s: expected the device's, those behind it, and its key", len(chain), map[bool]string{true: "no private key", false: "a private key"}[signer == nil])
	case !pubkey.Equal(chain[0].PublicKey, signer.Public()):
		return nil, nil, errors.New("the private key is not that of its first certificate")
	}
	key, err = pemfile.EncodeKey(signer)
	return chain, key, err
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("its private key cannot be read") // without a word of it
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its private key cannot sign")
	}
	return signer, nil
}
