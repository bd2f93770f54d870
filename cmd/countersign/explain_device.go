package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/identify"
)

// explainDevice says which device the client is, and what it may have, by the rule
// of the listener and what the registry says now.
func explainDevice(ctx context.Context, w io.Writer, cfg *config.Config, l *snapshot.Listener, client identify.Client) error {
	r := &register{ctx: ctx, cfg: cfg}
	defer r.close()
	var m devices.Membership
	m.Enter(r, l.Devices, client)
	defer m.Leave()
	standing, _ := m.Standing()
	word := standing.Word()
	if word == "" {
		word = "no device"
	}
	fmt.Fprintf(w, "\ndevices: %s: ", l.Devices.Mode)
	if id := m.Device(); id != "" {
		fmt.Fprintf(w, "device %s is %s\n", id, word)
	} else {
		fmt.Fprintln(w, word)
	}
	if r.err != nil {
		fmt.Fprintf(w, "  the registry was not asked: %v\n", r.err)
	}
	lapsed := client.Lapse() != nil
	denial := standing.Refusal(false)
	if lapsed {
		denial = standing.RenewalRefusal()
	}
	switch {
	case denial == nil && lapsed:
		fmt.Fprintln(w, "  it may renew its certificate, if that is the latest it has")
		return nil
	case denial == nil:
		fmt.Fprintln(w, "  it is served")
		return nil
	case !l.Devices.Enforces() && !lapsed:
		fmt.Fprintf(w, "  targets are told so; enforce would refuse it: %s\n", denial.Code)
		return nil
	}
	fmt.Fprintf(w, "refused: %s\n  %s\n", denial.Code, denial.Reason)
	if l.Stream != nil {
		fmt.Fprintln(w, "  the connection is closed")
		return exitCode(1)
	}
	fmt.Fprintf(w, "  every request is answered %d", http.Status(denial.Code))
	if !lapsed && standing.Refusal(true) == nil {
		fmt.Fprint(w, ", but for those by which it gets its certificate")
	}
	fmt.Fprintln(w)
	return exitCode(1)
}

// standingOf is what the client may have as a device, by what the registry says now,
// until leave is called.
func standingOf(ctx context.Context, cfg *config.Config, l *snapshot.Listener, client identify.Client) (standing devices.Standing, leave func()) {
	if l.Devices == nil {
		return standing, func() {}
	}
	r := &register{ctx: ctx, cfg: cfg}
	var m devices.Membership
	m.Enter(r, l.Devices, client)
	standing, _ = m.Standing()
	return standing, func() {
		m.Leave()
		r.close()
	}
}

// A register is the registry, asked once.
type register struct {
	ctx   context.Context
	cfg   *config.Config
	store *store.Store
	err   error
}

// Hold is devices.Register's.
func (r *register) Hold(id string) *devices.Record {
	record := devices.NewRecord(id)
	known, err := r.ask(id)
	if r.err = err; err == nil {
		record.Learn(mirror.KnowledgeOf(known))
	}
	return record
}

func (r *register) ask(id string) (*store.Standing, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	where := r.cfg.Node.Store
	if r.cfg.Node.InFile() {
		where = filepath.Join(r.cfg.Node.DataDir, storeName)
		if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) { // a look does not make one
			return nil, fmt.Errorf("%s is made when the node starts", where)
		}
	}
	var err error
	if r.store, err = openStore(ctx, &r.cfg.Node, where); err != nil {
		return nil, err
	}
	all, err := r.store.Standings.Standings(ctx, []string{id})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func (r *register) close() {
	if r.store != nil {
		r.store.Close() // nothing was written
	}
}

// Release is devices.Register's, as those below.
func (r *register) Release(*devices.Record)                     {}
func (r *register) Await(context.Context, *devices.Record)      {}
func (r *register) Seen(*devices.Record, time.Time, netip.Addr) {}
