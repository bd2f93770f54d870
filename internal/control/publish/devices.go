package publish

import (
	"fmt"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/device"
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
