package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/est"
	"countersign.dev/internal/control/enroll/initialize"
	"countersign.dev/internal/control/enroll/sealed"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust/seen"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/verify"
)

// nodeKeyName is the file in data_dir under whose key uploaded keys are sealed.
const nodeKeyName = "node.key"

// enrollment is the desk that hands certificates to devices, as the configuration
// in force has it.
type enrollment struct {
	desk *enroll.Desk
	uses *enroll.FirstUse

	stopped context.CancelFunc
	noting  sync.WaitGroup
}

// open makes the desk, which is closed until prepare.
func (e *enrollment) open(logger *slog.Logger) {
	e.desk = enroll.New(enroll.Config{Logger: logger})
	e.uses = enroll.NewFirstUse(e.desk)
	ctx, cancel := context.WithCancel(context.Background())
	e.stopped = cancel
	e.noting.Go(func() { e.uses.Run(ctx) })
}

// paths are those at which a listener has devices enroll.
func (e *enrollment) paths(cfg *config.Config, l *config.Listener) map[string]route.Action {
	if cfg.Devices == nil || l.Devices == "off" {
		return nil
	}
	own := map[string]route.Action{}
	if i := cfg.Devices.Initialize; i != nil {
		own[i.Path] = route.Action{Respond: initialize.Handler{Desk: e.desk}, Enrolls: true, Renews: true}
	}
	if a := authorityOf(cfg); a != nil && a.EST {
		handler := est.Handler{Desk: e.desk, Label: a.Name}
		own[est.Root] = route.Action{Respond: handler, Enrolls: true}
		for _, path := range est.RenewalPaths(a.Name) {
			own[path] = route.Action{Respond: handler, Enrolls: true, Renews: true}
		}
		// Who has no certificate yet has to know whom to believe (RFC 7030 section 4.1.1).
		for _, path := range est.PublicPaths(a.Name) {
			own[path] = route.Action{Respond: handler, Public: true}
		}
	}
	return own
}

// authorityOf is who issues the certificates of devices; nil: nobody.
func authorityOf(cfg *config.Config) *config.Authority {
	for i := range cfg.Authorities {
		if cfg.Authorities[i].Name == cfg.Devices.Authority {
			return &cfg.Authorities[i]
		}
	}
	return nil
}

// prepare opens the node's key. The registry and the authority are those that come
// into force with cfg, before Apply.
func (e *enrollment) prepare(cfg *config.Config, devices *registry, issuers *authorities) (publish.Change, error) {
	abandon := func() {}
	if cfg.Devices == nil || cfg.Devices.Initialize == nil && cfg.Devices.Authority == "" {
		return publish.Change{Apply: func() { e.desk.Use(nil) }, Abandon: abandon}, nil
	}
	var box *sealed.Box
	if cfg.Node.DataDir != "" {
		var err error
		if box, err = sealed.Open(filepath.Join(cfg.Node.DataDir, nodeKeyName)); err != nil {
			return publish.Change{}, config.Faults{cfg.Fault("node.data_dir", err.Error(), "a key of the node that can be used", "")}
		}
	}
	how := cfg.Devices.Enrollment()
	ids := publish.DeviceIDs(cfg.Devices)
	bootstrap := ""
	if cfg.Devices.Bootstrap != "" {
		var err error
		if bootstrap, err = ids.Normalize(cfg.Devices.Bootstrap); err != nil {
			return publish.Change{}, err
		}
	}
	makers, err := publish.MakersOf(cfg.Devices)
	if err != nil {
		return publish.Change{}, err
	}
	return publish.Change{Abandon: abandon, Apply: func() {
		s := &enroll.Settings{Store: devices.opened(), IDs: ids, Bootstrap: bootstrap, Claim: enroll.Claim(how.Claim),
			Name: publish.EnrollmentName(cfg.Devices), Box: box,
			PerSource: how.PerSource, PerDevice: how.PerDevice, Retry: how.RetryAfter, Given: devices.given, Makers: makers}
		if a := issuers.named(cfg.Devices.Authority); a != nil {
			s.Authority, s.RenewAfterExpiry = a, authorityOf(cfg).RenewAfterExpiry
		}
		e.desk.Use(s)
	}}, nil
}

// stop ends what the desk has under way in the background.
func (e *enrollment) stop() {
	e.desk.Use(nil)
	e.stopped()
	e.noting.Wait()
}

// witnesses are told of the same.
type witnesses struct {
	*seen.Witness
	uses *enroll.FirstUse
}

// Came is traffic.Witness's.
func (w witnesses) Came(listener, policy string, chain verify.Chain, fingerprint [32]byte) {
	w.Witness.Came(listener, policy, chain, fingerprint)
	w.uses.Note(fingerprint)
}
