package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic"
)

// addressFaults says of err, from Node.Open, which listeners of cfg are at fault.
func addressFaults(cfg *config.Config, err error) error {
	unopened, ok := errors.AsType[traffic.Unopened](err)
	if !ok {
		return err
	}
	var faults config.Faults
	for i := range cfg.Listeners {
		if cause := unopened[cfg.Listeners[i].Address]; cause != nil {
			faults = append(faults, AddressFault(cfg, fmt.Sprintf("listeners[%d].address", i), cfg.Listeners[i].Address, cause))
		}
	}
	return faults.Sorted()
}

// AddressFault says why address, which cfg has at key, cannot be listened on,
// and what to do about the causes that people meet.
func AddressFault(cfg *config.Config, key, address string, cause error) config.Fault {
	switch unknown, isName := errors.AsType[*net.DNSError](cause); {
	case errors.Is(cause, syscall.EADDRINUSE):
		return cfg.Fault(key, address+", where something listens already", "a free address", "stop what is there (ss -ltnp names it), or choose another one")
	case errors.Is(cause, fs.ErrPermission):
		return cfg.Fault(key, address+", for which a privilege is needed", "an address that the user of this program may listen on",
			"for ports below 1024 grant CAP_NET_BIND_SERVICE, or choose a higher one")
	case errors.Is(cause, syscall.EADDRNOTAVAIL):
		return cfg.Fault(key, address+", which is no address of this machine", "one of its own (ip address lists them)",
			"for one that comes and goes between machines, the sysctl net.ipv4.ip_nonlocal_bind (net.ipv6.) lets it be listened on before it is here")
	case isName:
		return cfg.Fault(key, fmt.Sprintf("%s, whose name cannot be looked up (%s)", address, unknown.Err), "an address of this machine", "write it in numbers")
	}
	if failed, ok := errors.AsType[*os.SyscallError](cause); ok {
		cause = failed.Err
	}
	return cfg.Fault(key, fmt.Sprintf("%s, which cannot be listened on (%v)", address, cause), "an address of this machine, with a port", "")
}
