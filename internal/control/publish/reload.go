package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"countersign.dev/internal/config"
)

// Run publishes anew whenever a file or a source has changed or again receives a
// value, until ctx ends.
func (p *Publisher) Run(ctx context.Context, again <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { p.watcher.Run(ctx) })
	watching.Go(func() { p.sources.Run(ctx) })
	watching.Go(func() { p.asker.Run(ctx) })
	defer func() { cancel(); watching.Wait() }()
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case names := <-p.watcher.Changed():
			p.reload(ctx, changed(names), false)
		case <-p.sources.Changed():
			p.reload(ctx, "a source changed", true)
		case <-hourly.C:
			if p.sweep() {
				p.reload(ctx, "lists are not needed any more", false)
			}
		case <-again:
			p.reload(ctx, "asked to", false)
			p.sources.Hurry()
		}
	}
}

// Reload is Publish on somebody's demand, with an entry in the log. It has every
// source fetched, too, but does not wait for that.
func (p *Publisher) Reload(ctx context.Context) error {
	err := p.reload(ctx, "asked to", false)
	p.sources.Hurry()
	return err
}

// changed says of which files a reload comes.
func changed(names []string) string {
	const most = 3
	switch n := len(names); {
	case n == 1:
		return "a file changed: " + names[0]
	case n > most:
		return fmt.Sprintf("files changed: %s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return "files changed: " + strings.Join(names, ", ")
}

// reload is a publication whose outcome goes to the log.
func (p *Publisher) reload(ctx context.Context, cause string, fetched bool) error {
	began := time.Now()
	p.mu.Lock()
	err := p.publish(ctx, cause, fetched)
	p.mu.Unlock()
	var faults config.Faults
	var waiting *WaitingError
	switch {
	case err == errNothingNew: // the sources have said why
	case errors.As(err, &waiting):
		p.cfg.Logger.Info("the configuration waits for what is fetched for the first time; the last one stays in force until then", "because", cause, "sources", waiting.names)
	case err == nil:
		p.cfg.Logger.Info("configuration in force", "because", cause,
			"snapshot", p.cfg.Node.Current().Number, "took", time.Since(began).Round(time.Microsecond))
	case errors.As(err, &faults):
		p.cfg.Logger.Error("configuration refused; the last good one stays in force", "because", cause, "faults", len(faults))
		for _, f := range faults {
			p.cfg.Logger.Error(f.String())
		}
	default:
		p.cfg.Logger.Error("configuration refused; the last good one stays in force", "because", cause, "error", err)
	}
	return err
}
