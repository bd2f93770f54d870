package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// devices is how many certificates the clients have between them.
const devices = 32

// A comparison is a run of the command.
type comparison struct {
	options options
	report  report.Report
	self    string // this program
	module  string // where countersign's sources are
	dir     string // for everything that is written
	files   credentials.Files
	long    credentials.Files // with the long list, once a workload has asked for it
	backend string            // address
	servers []server
	sockets int // that a process may have
	turn    int // counts all turns, for a directory each
	say     io.Writer

	engines    []engine // that there are, once a workload has asked for them
	registries map[engine]*registry
}

// A server is a peer whose program was found.
type server struct {
	peer.Peer
	program string
}

// compare runs the workloads and prints the table. It fails when operations
// did: figures of work that was not done mean nothing.
func compare(ctx context.Context, o options, chosen []workload, out io.Writer) (err error) {
	c := &comparison{options: o, say: os.Stderr}
	if c.dir, err = os.MkdirTemp("", "countersign-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	end, err := c.prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.forget(), end()) }()
	for _, w := range chosen {
		result, err := c.run(ctx, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		c.report.Workloads = append(c.report.Workloads, result)
	}
	if err := c.report.Write(out); err != nil {
		return err
	}
	if o.json != "" {
		text, err := json.MarshalIndent(c.report, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if n := c.report.Errors(); n > 0 {
		return fmt.Errorf("%d workers stopped at an error, see the notes", n)
	}
	return plot(&c.report, o.plot)
}

// again prints the table of a run that was stored, and plots it.
func again(o options, out io.Writer) error {
	f, err := os.Open(o.from)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := report.Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", o.from, err)
	}
	if err := r.Write(out); err != nil {
		return err
	}
	return plot(r, o.plot)
}

// plot draws the report into a file; into none for "".
func plot(r *report.Report, file string) error {
	if file == "" {
		return nil
	}
	var svg bytes.Buffer
	if err := r.Plot(&svg); err != nil {
		return err
	}
	return os.WriteFile(file, svg.Bytes(), 0o644)
}

// prepare makes what all workloads share. The function it returns ends the backend.
func (c *comparison) prepare(ctx context.Context) (end func() error, err error) {
	if c.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if c.sockets, err = raiseLimit(); err != nil {
		return nil, err
	}
	c.report = report.Report{
		Date: time.Now(), Cores: runtime.NumCPU(), Turns: c.options.turns, Time: c.options.time, Versions: map[string]string{},
	}
	if err := c.find(ctx); err != nil {
		return nil, err
	}
	if c.files, err = credentials.Make(c.pki(), devices); err != nil {
		return nil, err
	}
	return c.startBackend(ctx)
}

// find looks for the servers' programs; a peer that is not there is named and left out.
func (c *comparison) find(ctx context.Context) error {
	var known []string
	for _, p := range peer.All() {
		known = append(known, p.Name)
	}
	for _, name := range c.options.peers {
		if !slices.Contains(known, name) {
			return fmt.Errorf("no server is called %q: want some of %s", name, strings.Join(known, ", "))
		}
	}
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "countersign.dev").Output()
	if err != nil {
		return fmt.Errorf("bench builds countersign from its sources, and is run inside them: %w", err)
	}
	c.module = strings.TrimSpace(string(module))
	for _, p := range peer.All() {
		if p.Name != peer.Self && !slices.Contains(c.options.peers, p.Name) {
			continue
		}
		program, err := p.Find(ctx, peer.Build{Module: c.module, Dir: c.dir})
		if err != nil && p.Name != peer.Self {
			c.report.Notes = append(c.report.Notes, fmt.Sprintf("without %s: %v", p.Name, err))
			continue
		}
		if err != nil {
			return err
		}
		if c.report.Versions[p.Name], err = p.Version(ctx, program); err != nil {
			return err
		}
		c.servers = append(c.servers, server{p, program})
	}
	return nil
}

func (c *comparison) startBackend(ctx context.Context) (end func() error, err error) {
	cmd := exec.CommandContext(ctx, c.self, "backend", c.files.ServerCert, c.files.ServerKey, c.files.Root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the backend does not say where it listens: %w", err), end())
	}
	c.backend = strings.TrimSpace(line)
	return end, nil
}

// raiseLimit allows this process, and those that it starts, as many descriptors
// as the system lets it, and returns their number. (What the Go runtime raises by
// itself is not passed on to child processes.)
func raiseLimit() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("raising the limit of open files to %d: %w", l.Max, err)
	}
	return int(min(l.Max, 1<<30)), nil
}
