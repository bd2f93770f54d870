package telemetry

import (
	"log/slog"
	"syscall"
)

// Descriptors holds how many files the program may have open (RLIMIT_NOFILE of
// getrlimit(2), after the Go runtime has raised it as far as it may) against what
// its connections need. Its methods are called one at a time.
type Descriptors struct {
	Logger *slog.Logger

	limit  func() (uint64, error) // nil: RLIMIT_NOFILE
	before int                    // connections asked for last
}

// ownFiles is about how many the program needs besides connections: logs, listening
// sockets, the store, health checks, operators.
const ownFiles = 256

// Want warns if that many connections, each with another to its target, need more
// files than may be open. It does so at first, and when the number has risen.
func (d *Descriptors) Want(connections int) {
	risen := connections > d.before
	d.before = connections
	if !risen {
		return
	}
	limit := d.limit
	if limit == nil {
		limit = openFiles
	}
	have, err := limit()
	need := 2*uint64(connections) + ownFiles
	if err != nil || have >= need { // of a limit that is not known nothing is claimed
		return
	}
	d.Logger.Warn("fewer files may be open than node.max_connections needs, one for each connection and one for that to its target: "+
		"beyond, clients wait and targets cannot be reached; raise LimitNOFILE= of the systemd unit, or ulimit -n, or lower node.max_connections",
		"may_be_open", have, "expected", need, "max_connections", connections)
}

func openFiles() (uint64, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return uint64(l.Cur), err
}
