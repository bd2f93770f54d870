package spool

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// An output is where lines go. Only the owner of the log uses it, but for the
// counters.
type output struct {
	path   string
	logger *slog.Logger

	w    io.Writer
	file *os.File // nil: standard output, not ours to close

	torn     bool // the last write ended within a line
	reported time.Time
	failing  bool // the operator was told so, and not yet that it is over

	errors atomic.Uint64 // failed writes
	lost   atomic.Uint64 // lines in them
	// What of both the operator has been told is over.
	errorsBefore, lostBefore uint64
}

func openOutput(path string, stdout io.Writer, logger *slog.Logger) (*output, error) {
	o := &output{path: path, logger: logger, w: stdout}
	if path == "-" {
		return o, nil
	}
	return o, o.reopen()
}

func (o *output) reopen() error {
	if o.path == "-" {
		return nil
	}
	if o.path == "" {
		return fmt.Errorf(`log without a path: want the name of a file, or "-" for standard output`)
	}
	// O_NONBLOCK: a named pipe that nobody reads is an error, not a wait for ever.
	f, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	if o.file != nil {
		o.close()
	}
	o.file, o.w, o.torn = f, f, false
	return nil
}

func (o *output) close() {
	if o.file == nil {
		return
	}
	if err := o.file.Close(); err != nil {
		o.fail(err, 0)
	}
}

// write writes whole lines. After a write that ended within a line the next one
// begins a new line, so that two events never run together.
func (o *output) write(b []byte, lines uint64) {
	if o.torn {
		if _, err := o.w.Write([]byte{'\n'}); err != nil {
			o.fail(err, lines)
			return
		}
		o.torn = false
	}
	n, err := o.w.Write(b)
	if err == nil {
		o.recovered()
		return
	}
	for _, c := range b[:n] {
		if c == '\n' {
			lines--
		}
	}
	o.torn = n > 0 && b[n-1] != '\n'
	o.fail(err, lines)
}

// fail counts, and tells the operator once in a while: a full disk must not
// fill the program's log too. The counts are since the last time that was over.
func (o *output) fail(err error, lines uint64) {
	errors, lost := o.errors.Add(1), o.lost.Add(lines)
	if now := time.Now(); o.reported.IsZero() || now.Sub(o.reported) >= time.Minute {
		o.reported, o.failing = now, true
		o.logger.Error("a log cannot be written; its lines are lost",
			"path", o.path, "error", err, "failed_writes", errors-o.errorsBefore, "lines_lost", lost-o.lostBefore)
	}
}

// recovered tells the operator that it is over, and what it has cost: after what
// fail told at once, after what it did not tell once in a while as well.
func (o *output) recovered() {
	errors, lost := o.errors.Load(), o.lost.Load()
	if errors == o.errorsBefore || !o.failing && time.Since(o.reported) < time.Minute {
		return
	}
	o.logger.Info("a log can be written again",
		"path", o.path, "failed_writes", errors-o.errorsBefore, "lines_lost", lost-o.lostBefore)
	if !o.failing {
		o.reported = time.Now()
	}
	o.failing, o.errorsBefore, o.lostBefore = false, errors, lost
}
