package publish

import (
	"fmt"

	"countersign.dev/internal/control/ca"
)

// authority looks whether there is one; opening it is for who will use it.
func (c *compiler) authority(i int) {
	a := &c.cfg.Authorities[i]
	if a.Dir == "" {
		return // a fault already
	}
	certificates, err := ca.Look(a.Dir)
	if err != nil {
		c.fault(fmt.Sprintf("authorities[%d].dir", i), err.Error(), "a directory that countersign ca init has made", "")
		return
	}
	for file, certificate := range certificates {
		c.expires("authority", a.Name, file, certificate.NotAfter)
	}
}
