package directory

import (
	"context"
	"crypto/x509"
	"fmt"

	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/wire/dn"
)

// Record puts a certificate that by has signed into the ledger.
func (d *Directory) Record(ctx context.Context, by *Signer, c *x509.Certificate, p issuance.Profile) error {
	subject, err := dn.String(c.RawSubject)
	if err != nil {
		return err
	}
	serial := dn.Serial(c.SerialNumber)
	err = d.ledger.Append(ctx, ledger.Entry{
		Event: ledger.Issued, At: d.cfg.Now(), Serial: serial, Issuer: by.ID(), Subject: subject, Profile: string(p),
		NotAfter: c.NotAfter, Certificate: c.Raw, Fresh: !p.KeepsKey(),
	})
	if ledger.KeyConflict(err) {
		return err
	}
	if ledger.Conflict(err) {
		return fmt.Errorf("the serial number %s was drawn a second time: the random source of this machine cannot be trusted", serial)
	}
	return err
}
