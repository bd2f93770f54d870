package lint

import (
	"bytes"
	"errors"

	"countersign.dev/internal/control/ca/pubkey"
)

var keyIdentifiers = Rule{"key identifiers", "RFC 5280 sections 4.2.1.1, 4.2.1.2", func(c Case) error {
	if id, err := pubkey.ID(c.Want.PublicKey); err != nil || !bytes.Equal(c.Certificate.SubjectKeyId, id) {
		return errors.New("the subject key identifier is not that of the key")
	}
	if i := c.Issuer; i != nil && (len(i.SubjectKeyId) == 0 || !bytes.Equal(c.Certificate.AuthorityKeyId, i.SubjectKeyId)) {
		return errors.New("the authority key identifier is not that of the authority")
	}
	return nil
}}
