package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/accesslog"
)

// logs are the two traffic logs with what they were opened for.
type logs struct{ connection, access openLog }

type openLog struct {
	log          *accesslog.Log // nil: off
	path, format string
}

// open returns the logs that cfg asks for; one that is open already is kept.
func (l logs) open(cfg config.Logs, stdout io.Writer, logger *slog.Logger) (logs, error) {
	var next logs
	var err, err2 error
	if c := cfg.Connection; c != nil {
		next.connection, err = l.connection.open(c.Path, c.Format, stdout, logger)
	}
	if a := cfg.Access; a != nil {
		next.access, err2 = l.access.open(a.Path, a.Format, stdout, logger)
	}
	if err := errors.Join(err, err2); err != nil {
		closeLogs(next.without(l))
		return logs{}, err
	}
	return next, nil
}

func (o openLog) open(path, format string, stdout io.Writer, logger *slog.Logger) (openLog, error) {
	if o.log != nil && o.path == path && o.format == format {
		return o, nil
	}
	log, err := accesslog.Open(accesslog.Config{Path: path, Format: accesslog.Format(format), Stdout: stdout, Logger: logger})
	if err != nil {
		return openLog{}, fmt.Errorf("log %s: %w", cmp.Or(path, "-"), err)
	}
	return openLog{log, path, format}, nil
}

// without returns the logs of l that other does not have.
func (l logs) without(other logs) []*accesslog.Log {
	var own []*accesslog.Log
	for _, pair := range [][2]*accesslog.Log{{l.connection.log, other.connection.log}, {l.access.log, other.access.log}} {
		if pair[0] != nil && pair[0] != pair[1] {
			own = append(own, pair[0])
		}
	}
	return own
}

// closeLogs writes out what is queued and closes, within a second each.
func closeLogs(logs []*accesslog.Log) {
	for _, l := range logs {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		l.Close(ctx) // what is lost is counted
		cancel()
	}
}
