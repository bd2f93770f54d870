// Command bench gives countersign, nginx and HAProxy the same work in turns,
// one after the other on the loopback interface, and prints what each needed.
//
//	go run ./bench
//	go run ./bench --only h1-keepalive,handshake-full --time 2s --turns 3
//	go run ./bench --from docs/performance.json --plot docs/performance.svg
//
// Package peer has the servers with their configurations, load the client side,
// backend what stands behind, measure the reading of CPU time and memory,
// report the table. docs/performance.md says what the figures mean.
//
// With the word load, lists or backend as its only argument, the program is one of its
// own child processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"countersign.dev/bench/backend"
	"countersign.dev/bench/credentials"
	"countersign.dev/bench/fleet"
	"countersign.dev/bench/lists"
	"countersign.dev/bench/load"
)

// options are what the command line says.
type options struct {
	only   []string // workloads; none: all
	peers  []string // beside countersign
	turns  int
	time   time.Duration // of a turn
	settle time.Duration // of the silence of idle connections
	json   string        // file for the report; "": none
	plot   string        // file for the drawing; "": none
	from   string        // a report that was stored, in place of a run; "": none
	list   bool

	idleConnections int
	liveConnections int
	entries         int // of the long revocation list
	devices         int // of the registry
	pairs           int // of gateways that enforce devices or do not, in a turn: single figures move by more than is allowed
	revoked         int // certificates of the authority that signs lists
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 4 && args[0] == "backend" {
		secure, err := credentials.Files{ServerCert: args[1], ServerKey: args[2], Root: args[3]}.Behind()
		if err != nil {
			return err
		}
		return backend.Main(in, out, secure)
	}
	if len(args) == 1 {
		switch args[0] {
		case "load":
			return load.Main(in, out)
		case "lists":
			return lists.Main(in, out)
		}
	}
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.list {
		for _, w := range workloads(o) {
			fmt.Fprintf(out, "%-20s  %s\n", w.name, w.about)
		}
		return nil
	}
	if o.from != "" {
		return again(o, out)
	}
	chosen, err := choose(workloads(o), o.only)
	if err != nil {
		return err
	}
	return compare(ctx, o, chosen, out)
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{pairs: 10}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	var only, peers string
	f.StringVar(&only, "only", "", "`workloads` to run, separated by commas (default all)")
	f.StringVar(&peers, "peers", "nginx,haproxy", "`servers` to compare with, separated by commas; \"\" is none")
	f.IntVar(&o.turns, "turns", 5, "how `often` each server is given each workload")
	f.DurationVar(&o.time, "time", 2500*time.Millisecond, "`duration` of a turn, after its warm-up")
	f.DurationVar(&o.settle, "settle", 30*time.Second, "`duration` for which idle connections are silent before memory is measured")
	f.IntVar(&o.idleConnections, "idle-connections", 5000, "`number` of idle connections")
	f.IntVar(&o.liveConnections, "live-connections", 100_000, "`number` of live connections, of which one is revoked")
	f.IntVar(&o.entries, "entries", 1000000, "`number` of entries of the long revocation list")
	f.IntVar(&o.devices, "devices", 1_000_000, "`number` of devices of the registry")
	f.IntVar(&o.revoked, "revoked", 100_000, "`number` of certificates that the authority has revoked whose list is signed")
	f.StringVar(&o.json, "json", "", "`file` to write the report to, each turn included")
	f.StringVar(&o.plot, "plot", "", "`file` to draw the ratios into, as SVG")
	f.StringVar(&o.from, "from", "", "`file` that --json wrote: print its table, draw its plot, and run nothing")
	f.BoolVar(&o.list, "list", false, "print the workloads")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.only, o.peers = words(only), words(peers)
	var useless []string
	f.Visit(func(given *flag.Flag) {
		if given.Name != "from" && given.Name != "plot" {
			useless = append(useless, "--"+given.Name)
		}
	})
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: bench has flags only, see --help", f.Arg(0))
	case o.from != "" && len(useless) > 0:
		return o, fmt.Errorf("%s with --from: a run that is over has its workloads, servers and turns; only --plot goes with it", strings.Join(useless, ", "))
	case o.turns < 1 || o.idleConnections < 1 || o.liveConnections < 2 || o.entries < 1 || o.revoked < 1:
		return o, errors.New("--turns, --idle-connections, --entries and --revoked are at least 1, --live-connections at least 2")
	case o.devices < 10*fleet.Connecting:
		return o, fmt.Errorf("--devices is at least %d", 10*fleet.Connecting)
	case o.time <= 0 || o.settle < 0:
		return o, errors.New("--time is more than 0, --settle not less")
	}
	return o, nil
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// choose returns the workloads of those names; all for none.
func choose(all []workload, names []string) ([]workload, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []workload
	var known []string
	for _, w := range all {
		known = append(known, w.name)
	}
	for _, name := range names {
		found := false
		for _, w := range all {
			if w.name == name {
				chosen, found = append(chosen, w), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no workload is called %q: want some of %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}
