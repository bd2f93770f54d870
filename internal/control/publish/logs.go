package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
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

// open returns the logs that cfg asks for; one that is open already is kept. Its
// error is config.Faults.
func (l logs) open(cfg *config.Config, stdout io.Writer, logger *slog.Logger) (logs, error) {
	var next logs
	var faults config.Faults
	open := func(key string, was openLog, path, format string) openLog {
		if was.log != nil && was.path == path && was.format == format {
			return was
		}
		log, err := accesslog.Open(accesslog.Config{Path: path, Format: accesslog.Format(format), Stdout: stdout, Logger: logger})
		if err != nil {
			faults = append(faults, logFault(cfg, key, path, err))
			return openLog{}
		}
		return openLog{log, path, format}
	}
	if c := cfg.Logs.Connection; c != nil {
		next.connection = open(connectionLogKey, l.connection, c.Path, c.Format)
	}
	if a := cfg.Logs.Access; a != nil {
		next.access = open(accessLogKey, l.access, a.Path, a.Format)
	}
	if err := faults.Sorted().Err(); err != nil {
		closeLogs(next.without(l))
		return logs{}, err
	}
	return next, nil
}

const connectionLogKey, accessLogKey = "logs.connection.path", "logs.access.path"

// Unwritable are the faults of logs that could not be opened, as far as that is
// seen without opening them. What whoever starts the program may see to before, or
// may be allowed to do, is a warning.
func Unwritable(cfg *config.Config) config.Faults {
	var faults config.Faults
	look := func(key, file string) {
		if file == "" || file == "-" { // refused already, or standard output
			return
		}
		if err := unwritable(file); err != nil {
			f := logFault(cfg, key, file, err)
			f.Warning = errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
			faults = append(faults, f)
		}
	}
	if c := cfg.Logs.Connection; c != nil {
		look(connectionLogKey, c.Path)
	}
	if a := cfg.Logs.Access; a != nil {
		look(accessLogKey, a.Path)
	}
	return faults.Sorted()
}

// unwritable is why a file could not be appended to, or made; nil: nothing is seen
// that is in the way.
func unwritable(file string) error {
	const write, search = 2, 1 // access(2)
	info, err := os.Stat(file)
	switch {
	case err == nil && info.IsDir():
		return syscall.EISDIR
	case err == nil:
		return syscall.Access(file, write)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		return err
	}
	return syscall.Access(filepath.Dir(file), write|search)
}

// logFault says of a log that cannot be opened what is found in its place.
func logFault(cfg *config.Config, key, file string, err error) config.Fault {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	dir := filepath.Dir(file)
	where, absent := os.Stat(dir)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return cfg.Fault(key, file+", which is a directory", "a file", "add the name of the file: "+filepath.Join(file, "NAME.log"))
	case errors.Is(absent, fs.ErrNotExist):
		return cfg.Fault(key, file+", but no directory "+dir, "a directory with the log in it", "make it first, for the user that the program runs as")
	case absent == nil && !where.IsDir():
		return cfg.Fault(key, fmt.Sprintf("%s, but %s is a file", file, dir), "a directory with the log in it", "name another one")
	}
	hint := "name another one"
	if errors.Is(err, fs.ErrPermission) {
		hint = "let the user that the program runs as write to it, and to its directory"
	}
	return cfg.Fault(key, fmt.Sprintf("%s, which cannot be written (%v)", file, err), "a file that can be written", hint)
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
