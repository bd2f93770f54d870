package publish

import (
	"fmt"
	"strings"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/naming"
	"countersign.dev/internal/traffic/devices"
)

// DeviceIDs is what the ids of devices are.
func DeviceIDs(cfg *config.Devices) device.IDs {
	id := cfg.ID
	return device.IDs{From: device.Field(id.From), Form: device.Form(id.Form), Pattern: id.Pattern.Regexp()}
}

// bootstrap is the id in the certificate that devices are made with.
func (c *compiler) bootstrap() string {
	if c.cfg.Devices == nil || c.cfg.Devices.Bootstrap == "" {
		return ""
	}
	id, err := DeviceIDs(c.cfg.Devices).Normalize(c.cfg.Devices.Bootstrap)
	if err != nil {
		c.fault("devices.bootstrap", err.Error(), "an id as devices.id says", "")
	}
	return id
}

// EnrollmentName is what the certificates of devices say where the id is.
func EnrollmentName(cfg *config.Devices) string {
	if cfg.ID.Name != "" {
		return cfg.ID.Name
	}
	return naming.Of(DeviceIDs(cfg))
}

// enrollment checks that a device which is given a certificate is found in it.
func (c *compiler) enrollment() {
	d := c.cfg.Devices
	if d == nil || d.Authority == "" {
		return
	}
	if _, err := MakersOf(d); err != nil {
		c.fault("devices.makers", err.Error(), "files of certificates, and labels as KEY=VALUE", "")
	}
	ids, name := DeviceIDs(d), EnrollmentName(d)
	const at = "devices.id.name"
	if name == "" {
		c.fault(at, "nothing", "how a certificate names a device", "such as MacID-{id}: it cannot be told from devices.id.pattern")
		return
	}
	err := naming.CheckMark(name)
	if err == nil && ids.Form == device.FormMAC {
		err = naming.Check(ids, name, "AA:BB:CC:DD:EE:FF")
	}
	if err != nil {
		c.fault(at, err.Error(), "a name in which devices.id finds the device", "such as MacID-{id}")
	}
}

// MakersOf reads what the configuration says of makers; nil: nothing.
func MakersOf(cfg *config.Devices) (*enroll.Makers, error) {
	if cfg.Makers == nil {
		return nil, nil
	}
	labels, err := device.ParseLabels(strings.Join(cfg.Makers.Labels, ";"))
	if err != nil {
		return nil, err
	}
	m := &enroll.Makers{Claim: enroll.Claim(cfg.Makers.Claim), IDs: cfg.Makers.IDs.Regexp(), Labels: labels}
	for _, path := range cfg.Makers.CABundle {
		some, err := pemfile.ReadChain(path)
		if err != nil {
			return nil, err
		}
		m.Authorities = append(m.Authorities, some...)
	}
	return m, nil
}

// devices is what a listener does about devices; nil: nothing.
func (c *compiler) devices(l *config.Listener) *devices.Rule {
	mode := devices.Mode(l.Devices)
	if mode != devices.Annotate && mode != devices.Enforce {
		return nil
	}
	id := &c.cfg.Devices.ID
	return &devices.Rule{
		Mode: mode, IDs: DeviceIDs(c.cfg.Devices), Bootstrap: c.early,
		Text: fmt.Sprintf("%s %s %s %q %q", l.Devices, id.From, id.Form, id.Pattern, c.early),
	}
}
