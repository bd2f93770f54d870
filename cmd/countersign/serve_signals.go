package main

import (
	"context"
	"os"
	"syscall"
)

// startUnlessAsked is start, for which whoever asks the program to end does not
// wait: what the configuration has by URL may take its time. The other signals are
// seen to afterwards.
func (g *gateway) startUnlessAsked(ctx context.Context) (asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- g.start(ctx) }()
	var later []os.Signal
	for {
		select {
		case err := <-started:
			if err == nil {
				for _, s := range later {
					g.signal(s)
				}
			}
			return false, err
		case s := <-g.signaled:
			if !ends(s) {
				later = append(later, s)
				continue
			}
			g.ending(s)
			cancel()
			return true, <-started
		}
	}
}

// signals waits for the one that ends the program, and sees to the others.
func (g *gateway) signals(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-g.signaled:
			if ends(s) {
				g.ending(s)
				return nil
			}
			g.signal(s)
		}
	}
}

// ends reports whether s asks for the end of the program.
func ends(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGINT }

// ending has the next signal that asks for the end exit at once.
func (g *gateway) ending(s os.Signal) {
	g.logger.Info("stopping", "signal", s.String())
	go func() {
		for s := range g.signaled {
			if ends(s) {
				g.logger.Warn("stopping at once", "signal", s.String())
				os.Exit(1)
			}
		}
	}()
}

// signal sees to one that asks for something else.
func (g *gateway) signal(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		select {
		case g.again <- struct{}{}:
		default: // one is due already
		}
	case syscall.SIGUSR1:
		if err := g.publisher.Reopen(); err != nil {
			g.logger.Error("cannot open a log anew; the old file stays in use", "error", err)
		}
	}
}
