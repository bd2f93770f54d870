package publish

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/traffic/verify"
)

// authority looks whether there is one; opening it is for who will use it.
func (c *compiler) authority(i int) {
	a := &c.cfg.Authorities[i]
	if a.Dir == "" {
		return // a fault already
	}
	certificates, err := directory.Look(a.Dir)
	if err != nil {
		c.fault(fmt.Sprintf("authorities[%d].dir", i), err.Error(), "a directory that countersign ca init has made", "")
		return
	}
	if a.Ledger == "store" && directory.HasLedgerFile(a.Dir) {
		c.fault(fmt.Sprintf("authorities[%d].ledger", i), fmt.Sprintf("store, and %s in %s", directory.LedgerFile, a.Dir), "the ledger in the store alone",
			fmt.Sprintf("countersign ca move-ledger %s --config FILE", a.Dir))
	}
	for file, certificate := range certificates {
		c.expires("authority", a.Name, file, certificate.NotAfter)
	}
}

// renewal is for whose expired certificates a listener is open, where devices can
// have them renewed; nil: for nobody's.
func (c *compiler) renewal(l *config.Listener) *verify.Renewal {
	if c.cfg.Devices == nil || l.Devices == "off" || l.Protocol != "https" {
		return nil
	}
	for i := range c.cfg.Authorities {
		a := &c.cfg.Authorities[i]
		if a.Name != c.cfg.Devices.Authority || a.RenewAfterExpiry == 0 || a.Dir == "" {
			continue
		}
		certificates, err := directory.Look(a.Dir)
		if err != nil {
			return nil // which is complained about
		}
		r := &verify.Renewal{Within: a.RenewAfterExpiry}
		for file, certificate := range certificates {
			if file != directory.RootCertFile {
				r.Issuers = append(r.Issuers, certificate)
			}
		}
		slices.SortFunc(r.Issuers, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
		return r
	}
	return nil
}
