//go:build !386 && !s390x

package socket

import (
	"context"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Listener is a listening socket. One goroutine accepts.
type Listener struct {
	addr net.Addr
	at   *net.TCPAddr // of every connection; nil: each has its own
	file *os.File
	raw  syscall.RawConn
	call func(fd uintptr) (done bool)
	from address // of the last one that was accepted
	fd   int
	err  syscall.Errno
}

// Listen listens on at ("host:port"). Who is accepted is probed as k has it. That and
// TCP_NODELAY an accepted socket inherits from the one that listens; the net package
// would make five system calls for each connection.
func Listen(ctx context.Context, at string, k net.KeepAliveConfig) (*Listener, error) {
	ln, err := listen(ctx, net.ListenConfig{KeepAlive: -1}, at)
	if err != nil {
		return nil, err
	}
	return newListener(ln, k)
}

// ListenBeside is Listen where one of others may be in the way, such as :8443 of
// 192.0.2.1:8443. They share the port from then on, until all but one are closed;
// no other program can join them that does not ask for that, as the same user
// (SO_REUSEPORT, socket(7)).
func ListenBeside(ctx context.Context, at string, k net.KeepAliveConfig, others []*Listener) (*Listener, error) {
	for _, l := range others {
		if err := share(l.raw, 1); err != nil {
			return nil, err
		}
		defer share(l.raw, 0)
	}
	shared := func(_, _ string, raw syscall.RawConn) error { return share(raw, 1) }
	ln, err := listen(ctx, net.ListenConfig{KeepAlive: -1, Control: shared}, at)
	if err != nil {
		return nil, err
	}
	l, err := newListener(ln, k)
	if err != nil {
		return nil, err
	}
	if err := share(l.raw, 0); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// share lets sockets of which that is true too be bound to what raw is bound to.
func share(raw syscall.RawConn, on int) error {
	return control(raw, "setsockopt", func(fd uintptr) syscall.Errno {
		return setInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, on)
	})
}

func newListener(ln net.Listener, k net.KeepAliveConfig) (*Listener, error) {
	defer ln.Close() // the Listener has the socket by another descriptor
	l := &Listener{addr: ln.Addr()}
	if a := l.addr.(*net.TCPAddr); !a.IP.IsUnspecified() && !a.IP.IsLinkLocalUnicast() {
		l.at = a
	}
	l.call = l.accept
	var err error
	if l.file, err = ln.(*net.TCPListener).File(); err != nil {
		return nil, err
	}
	if l.raw, err = l.file.SyscallConn(); err == nil {
		err = control(l.raw, "setsockopt", func(fd uintptr) syscall.Errno {
			if errno := probe(int(fd), k); errno != 0 {
				return errno
			}
			return setInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		})
	}
	if err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

// Addr is the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close ends listening; Accept returns net.ErrClosed.
func (l *Listener) Close() error { return l.file.Close() }

// Accept waits for the next connection.
func (l *Listener) Accept() (Conn, error) {
	if err := l.raw.Read(l.call); err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed} // there is no deadline
	}
	if l.err != 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: os.NewSyscallError("accept4", l.err)}
	}
	c, err := newConn(l.fd, l.at, l.from.tcp())
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

func (l *Listener) accept(fd uintptr) bool {
	for {
		l.from.size = syscall.SizeofSockaddrAny
		n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&l.from.raw)),
			uintptr(unsafe.Pointer(&l.from.size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		if errno != syscall.EINTR && !closings.missing(errno) {
			l.fd, l.err = int(n), errno
			return errno != syscall.EAGAIN
		}
	}
}
