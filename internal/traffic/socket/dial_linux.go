//go:build !386 && !s390x

package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Dial connects to at ("host:port") before ctx ends, and in no more than timeout. The
// socket has TCP_NODELAY and the keep-alive probes of net.Dialer. The error is a
// *net.OpError.
//
// speaks says that something is written as soon as there is a connection: then it
// takes the packet with it that the handshake of TCP ends with, and the peer is woken
// once (as with tcp-smart-connect of HAProxy). What is not written after all, the peer
// does not wait for: the kernel sends that packet 200 ms later.
func Dial(ctx context.Context, at string, timeout time.Duration, speaks bool) (Conn, error) {
	to, err := netip.ParseAddrPort(at)
	if err != nil || to.Addr().Zone() != "" {
		return lookUp(ctx, at, timeout)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	remote := net.TCPAddrFromAddrPort(to)
	by := time.Now().Add(timeout)
	for tries := 0; ; tries++ {
		c, err := dial(ctx, to, remote, by, speaks)
		if tries < 2 && again(c, err) {
			if c != nil {
				c.Close()
			}
			continue
		}
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: err}
		}
		return c, nil
	}
}

// again reports what a second try may mend: a socket that was connected with itself,
// because the kernel has chosen the port for it that nobody listens on, and a port
// that another one has taken meanwhile.
func again(c *conn, err error) bool {
	if err != nil {
		return errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	return c.local != nil && c.local.Port == c.remote.Port && c.local.IP.Equal(c.remote.IP)
}

func dial(ctx context.Context, to netip.AddrPort, remote *net.TCPAddr, by time.Time, speaks bool) (*conn, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx)
	}
	var a address
	family := a.from(to)
	fd, errno := open(family)
	if errno != 0 {
		return nil, os.NewSyscallError("socket", errno)
	}
	if errno = prepare(fd, speaks); errno != 0 {
		shut(fd)
		return nil, os.NewSyscallError("setsockopt", errno)
	}
	errno = connect(fd, &a)
	if errno == syscall.EINPROGRESS {
		errno = connect(fd, &a) // a peer on this machine has answered already
	}
	if errno != 0 && !underWay(errno) {
		shut(fd)
		return nil, os.NewSyscallError("connect", errno)
	}
	c, err := newConn(fd, nil, remote)
	if err == nil && errno != 0 {
		if err = c.connected(ctx, &a, by); err != nil {
			c.file.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// open makes a socket.
func open(family int) (fd int, errno syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(family), syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if !closings.missing(errno) {
			return int(n), errno
		}
	}
}

// prepare sets the options of a socket that is to be connected.
func prepare(fd int, speaks bool) syscall.Errno {
	errno := setInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if errno == 0 && speaks {
		errno = setInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0)
	}
	if errno == 0 {
		errno = probe(fd, usual)
	}
	return errno
}

// underWay reports whether a call to connect has said that the connection is being
// made.
func underWay(errno syscall.Errno) bool {
	return errno == syscall.EINPROGRESS || errno == syscall.EALREADY || errno == syscall.EINTR
}

// usual are the keep-alive probes of net.Dialer.
var usual = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}

func connect(fd int, a *address) syscall.Errno {
	_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(a.size))
	return errno
}

// connected waits until the connection is made: then connect(2) succeeds.
func (c *conn) connected(ctx context.Context, a *address, by time.Time) error {
	if ends, ok := ctx.Deadline(); ok && ends.Before(by) {
		by = ends
	}
	if err := c.file.SetWriteDeadline(by); err != nil {
		return err
	}
	undo := context.AfterFunc(ctx, func() { c.file.SetWriteDeadline(time.Unix(1, 0)) })
	var errno syscall.Errno
	err := c.raw.Write(func(fd uintptr) bool {
		errno = connect(int(fd), a)
		return !underWay(errno)
	})
	switch {
	case !undo() || err != nil:
		return gaveUp(ctx)
	case errno != 0 && errno != syscall.EISCONN:
		return os.NewSyscallError("connect", errno)
	}
	return c.file.SetWriteDeadline(time.Time{})
}

// A stopped dial is one that was given up. Its texts are those of the net package.
type stopped struct {
	text string
	why  error
}

func (s *stopped) Error() string   { return s.text }
func (s *stopped) Timeout() bool   { return s.why == context.DeadlineExceeded }
func (s *stopped) Temporary() bool { return s.Timeout() }
func (s *stopped) Is(target error) bool {
	return target == s.why || s.Timeout() && target == os.ErrDeadlineExceeded
}

// gaveUp says why a dial took too long.
func gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &stopped{"operation was canceled", context.Canceled}
	}
	return &stopped{"i/o timeout", context.DeadlineExceeded}
}
