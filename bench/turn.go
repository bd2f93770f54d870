package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"countersign.dev/bench/load"
	"countersign.dev/bench/measure"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// run gives a workload to every server in turns: A B C, B C A, C A B, ...
func (c *comparison) run(ctx context.Context, w workload) (*report.Workload, error) {
	result := &report.Workload{Name: w.name, About: w.about, Metric: w.metric, Required: w.required, Aim: w.aim}
	servers, without := c.able(ctx, w)
	result.Notes = append(result.Notes, without...)
	for _, s := range servers {
		result.Rows = append(result.Rows, &report.Row{Server: s.Name})
	}
	if most := c.mostConnections(); w.load.Connections > most {
		result.Notes = append(result.Notes, fmt.Sprintf("%d connections in place of %d: a process may have %d open files", most, w.load.Connections, c.sockets))
		w.load.Connections = most
	}
	w.load.Warmup = min(c.options.time/4, 500*time.Millisecond)
	w.load.Duration = c.options.time
	if w.idle {
		w.load.Duration = c.options.settle
	}
	if w.half {
		if err := c.pace(ctx, &w); err != nil {
			return nil, err
		}
	}
	if w.crl {
		if err := c.longList(); err != nil {
			return nil, err
		}
	}
	if w.start {
		return result, c.starts(ctx, w, result)
	}
	if w.change != nil {
		result.Metric, result.Rows = "", nil
		return result, c.changes(ctx, w, result)
	}
	if w.own != nil {
		result.Metric, result.Rows = "", nil
		return result, c.owned(ctx, w, result)
	}
	n := len(servers)
	for turn := range c.options.turns {
		for i := range n {
			at := (turn + i) % n
			done, err := c.one(ctx, w, servers[at], turn == 0)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", servers[at].Name, err)
			}
			row := result.Rows[at]
			row.Add(done)
			fmt.Fprintf(c.say, "%s, turn %d: %s: %d operations, %s CPU, %d KiB\n",
				w.name, turn+1, row.Server, done.Operations, done.CPU, done.PSS>>10)
		}
	}
	result.Compare()
	return result, nil
}

// able returns the servers that can do the work; a peer that cannot is named and
// left out.
func (c *comparison) able(ctx context.Context, w workload) (servers []server, without []string) {
	for _, s := range c.servers {
		if w.stream != "" && s.Streams != nil {
			if err := s.Streams(ctx, s.program); err != nil {
				without = append(without, fmt.Sprintf("without %s: %v", s.Name, err))
				continue
			}
		}
		servers = append(servers, s)
	}
	return servers, without
}

// pace finds out what the slower peer can do, and sets the rate to half of it.
func (c *comparison) pace(ctx context.Context, w *workload) error {
	most := *w
	most.load.Kind = "keep-alive"
	peers := c.servers[1:]
	if len(peers) == 0 {
		peers = c.servers
	}
	peak := math.Inf(1)
	for _, s := range peers {
		turn, err := c.one(ctx, most, s, false)
		if err == nil && turn.Errors > 0 {
			err = errors.New(turn.Error)
		}
		if err != nil {
			return fmt.Errorf("%s, at its peak: %w", s.Name, err)
		}
		peak = min(peak, float64(turn.Operations)/turn.Elapsed.Seconds())
	}
	w.load.Rate = peak / 2
	return nil
}

// mostConnections is how many one server may be asked to hold: it may need
// another for each, to the backend, and some to spare.
func (c *comparison) mostConnections() int { return max((c.sockets-4096)/2, 16) }

// one starts a server, has it do the work once and ends it. Each turn has a
// server of its own, so that none is measured with what another turn left.
func (c *comparison) one(ctx context.Context, w workload, s server, prove bool) (t report.Turn, err error) {
	if err := ctx.Err(); err != nil {
		return t, err
	}
	running, err := c.start(ctx, w, s)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, running.Stop(), os.RemoveAll(running.Site.Dir)) }() // logs may be large
	if prove {
		if err := running.Prove(ctx, w.load.Streams > 0); err != nil {
			return t, err
		}
	}
	t, _, err = c.work(ctx, w.load, w.beside, running)
	return t, err
}

// crowd puts what others ask on a server, in a process of its own, from now on and
// for as long as the work beside it takes. end waits for that, and says what went
// wrong.
func (c *comparison) crowd(ctx context.Context, spec load.Spec, work time.Duration, s *peer.Server) (end func() error, err error) {
	spec.Duration = work + time.Second
	p, err := c.load(ctx, spec, s)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		r, err := p.Work()
		done <- errors.Join(err, r.Err())
	}()
	return func() error {
		if err := <-done; err != nil {
			p.Abort()
			return fmt.Errorf("what is beside the work: %w", err)
		}
		return p.Finish()
	}, nil
}

// load starts a process that is ready to put a load on a server.
func (c *comparison) load(ctx context.Context, spec load.Spec, s *peer.Server) (*load.Process, error) {
	spec.Address, spec.Root, spec.Clients = s.Site.Listen, c.files.Root, c.files.Clients
	cmd := exec.CommandContext(ctx, c.self, "load")
	cmd.Stderr = os.Stderr
	return load.Start(cmd, spec)
}

// site is what a server is set up for, with a directory of its own.
func (c *comparison) site(w workload, s server) (peer.Site, error) {
	c.turn++
	dir := filepath.Join(c.dir, fmt.Sprintf("%s-%d", s.Name, c.turn))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return peer.Site{}, err
	}
	listen, err := peer.FreePort()
	if err != nil {
		return peer.Site{}, err
	}
	site := peer.Site{Dir: dir, Listen: listen, Backend: c.backend, Files: c.files, Log: w.logs, Connections: w.load.Connections + w.beside.Connections, Stream: w.stream, Secure: w.secure, Rules: w.rules, Token: w.token}
	if w.crl {
		site.Files = c.long
	}
	return site, nil
}

// start starts a server in a directory of its own.
func (c *comparison) start(ctx context.Context, w workload, s server) (*peer.Server, error) {
	site, err := c.site(w, s)
	if err != nil {
		return nil, err
	}
	running, err := s.Start(ctx, s.program, site)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(site.Dir))
	}
	return running, nil
}

// work puts the load on a server, with another beside it if that has connections,
// and measures what it needs for that.
func (c *comparison) work(ctx context.Context, spec, beside load.Spec, s *peer.Server) (t report.Turn, course *load.Course, err error) {
	p, err := c.load(ctx, spec, s)
	if err != nil {
		return t, nil, err
	}
	end := func() error { return nil }
	if beside.Connections > 0 {
		if end, err = c.crowd(ctx, beside, spec.Duration, s); err != nil {
			p.Abort()
			return t, nil, err
		}
	}
	before, err := measure.CPU(s.PIDs)
	if err != nil {
		p.Abort()
		return t, nil, err
	}
	r, err := p.Work()
	if err != nil {
		p.Abort()
		return t, nil, err
	}
	after, errCPU := measure.CPU(s.PIDs)
	pss, errPSS := measure.PSS(s.PIDs)
	return report.Turn{
		Operations: r.Operations, Errors: r.Errors, Error: r.Error, Elapsed: r.Elapsed, Connections: r.Connections,
		CPU: after - before, PSS: pss, P50: r.P50, P99: r.P99, Rate: spec.Rate,
	}, r.Course, errors.Join(errCPU, errPSS, end(), p.Finish())
}
