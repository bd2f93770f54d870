//go:build !386 && !s390x

package socket

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A conn is a connected socket of ours.
type conn struct {
	file          *os.File // for its poller, its deadlines and its counted descriptor
	raw           syscall.RawConn
	local, remote *net.TCPAddr
	closed        atomic.Bool
	finished      atomic.Bool  // the peer knows that nothing more comes
	waiting       atomic.Int32 // who reads or writes at this moment
	lingers       atomic.Bool  // SO_LINGER is set
}

// newConn takes fd over, which is a connected socket and does not block.
func newConn(fd int, remote *net.TCPAddr) (*conn, error) {
	c := &conn{remote: remote}
	var err error
	if c.local, err = localAddr(fd); err != nil {
		shut(fd)
		return nil, err
	}
	c.file = os.NewFile(uintptr(fd), "tcp")
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

// LocalAddr is net.Conn's.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is net.Conn's.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SyscallConn is syscall.Conn's.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// A rawConn is the connection's as long as it is open.
type rawConn struct{ *conn }

// Control is syscall.RawConn's.
func (r rawConn) Control(f func(fd uintptr)) error {
	if r.closed.Load() {
		return net.ErrClosed
	}
	return r.ended(r.raw.Control(f))
}

// Read is syscall.RawConn's. A connection that was closed meanwhile has no end of
// its stream: that was ours.
func (r rawConn) Read(f func(fd uintptr) (done bool)) error {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if r.closed.Load() {
		return net.ErrClosed
	}
	return r.ended(r.raw.Read(f))
}

// Write is syscall.RawConn's.
func (r rawConn) Write(f func(fd uintptr) (done bool)) error {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if r.closed.Load() {
		return net.ErrClosed
	}
	return r.ended(r.raw.Write(f))
}

// ended is err, unless the connection was closed.
func (c *conn) ended(err error) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Read is net.Conn's.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	var errno syscall.Errno
	err = rawConn{c}.Read(func(fd uintptr) bool {
		n, errno = transfer(syscall.SYS_RECVFROM, fd, p, 0)
		return errno != syscall.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("read", errno)
	}
	if err != nil {
		return 0, c.named("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write is net.Conn's.
func (c *conn) Write(p []byte) (n int, err error) {
	var errno syscall.Errno
	err = rawConn{c}.Write(func(fd uintptr) bool {
		for n < len(p) {
			var some int
			if some, errno = transfer(syscall.SYS_SENDTO, fd, p[n:], syscall.MSG_NOSIGNAL); errno != 0 {
				return errno != syscall.EAGAIN
			}
			n += some
		}
		return true
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("write", errno)
	}
	return n, c.named("write", err)
}

// transfer makes one call on a socket that does not block.
func transfer(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// named makes of err what the net package would have returned.
func (c *conn) named(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// SetDeadline is net.Conn's.
func (c *conn) SetDeadline(t time.Time) error { return c.named("set", c.ended(c.file.SetDeadline(t))) }

// SetReadDeadline is net.Conn's.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.named("set", c.ended(c.file.SetReadDeadline(t)))
}

// SetWriteDeadline is net.Conn's.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.named("set", c.ended(c.file.SetWriteDeadline(t)))
}

// set sets one option.
func (c *conn) set(level, option, value int) error {
	var errno syscall.Errno
	err := rawConn{c}.Control(func(fd uintptr) { errno = setInt(int(fd), level, option, value) })
	if err == nil && errno != 0 {
		err = os.NewSyscallError("setsockopt", errno)
	}
	return c.named("set", err)
}

// SetKeepAliveConfig is net.TCPConn's.
func (c *conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	var errno syscall.Errno
	err := rawConn{c}.Control(func(fd uintptr) { errno = probe(int(fd), k) })
	if err == nil && errno != 0 {
		err = os.NewSyscallError("setsockopt", errno)
	}
	return c.named("set", err)
}

// SetLinger is net.TCPConn's: with 0, Close sends a reset.
func (c *conn) SetLinger(seconds int) error {
	l := syscall.Linger{Onoff: 1, Linger: int32(seconds)}
	if seconds < 0 {
		l = syscall.Linger{}
	}
	var errno syscall.Errno
	err := rawConn{c}.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_LINGER,
			uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
		c.lingers.Store(seconds >= 0)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("setsockopt", errno)
	}
	return c.named("set", err)
}

// CloseWrite is net.TCPConn's.
func (c *conn) CloseWrite() error {
	if c.finished.Swap(true) {
		return nil
	}
	var errno syscall.Errno
	err := rawConn{c}.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, syscall.SHUT_WR, 0)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("shutdown", errno)
	}
	return c.named("close", err)
}

// Close is net.Conn's: whoever reads or writes stops, and the peer is told that
// nothing more comes. The descriptor follows with those of others (closing).
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return c.named("close", net.ErrClosed)
	}
	if c.lingers.Load() { // what the peer is told, close(2) decides
		return c.named("close", c.file.Close())
	}
	if !c.finished.Load() || c.waiting.Load() > 0 {
		c.raw.Control(hangUp) // it fails where the peer is gone already
	}
	closings.add(c.file)
	return nil
}

// hangUp ends both halves of a socket, and all waiting for it.
func hangUp(fd uintptr) { syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, syscall.SHUT_RDWR, 0) }

// shut closes a descriptor that nobody else knows of.
func shut(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// setInt sets one option of a socket.
func setInt(fd, level, option, value int) syscall.Errno {
	v := int32(value)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

// probe has the kernel probe a silent peer.
func probe(fd int, k net.KeepAliveConfig) syscall.Errno {
	if !k.Enable {
		return setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	for _, o := range [...]struct{ level, option, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(k.Idle)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(k.Interval)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count},
	} {
		if errno := setInt(fd, o.level, o.option, o.value); errno != 0 {
			return errno
		}
	}
	return 0
}

// seconds are whole ones, as the kernel counts them, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
