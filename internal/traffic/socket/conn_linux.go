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
	lingers       atomic.Bool  // close(2) may wait for the peer
}

// newConn takes fd over, which is a connected socket and does not block. A local
// address that is nil, the kernel is asked for.
func newConn(fd int, local, remote *net.TCPAddr) (*conn, error) {
	c := &conn{local: local, remote: remote}
	var err error
	if local == nil {
		if c.local, err = localAddr(fd); err != nil {
			shut(fd)
			return nil, err
		}
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

// Read is syscall.RawConn's.
func (r rawConn) Read(f func(fd uintptr) (done bool)) error { return r.wait(r.raw.Read, f) }

// Write is syscall.RawConn's.
func (r rawConn) Write(f func(fd uintptr) (done bool)) error { return r.wait(r.raw.Write, f) }

// wait is Read or Write. A connection that was closed meanwhile has no end of its
// stream: that was ours.
func (r rawConn) wait(until func(func(uintptr) bool) error, f func(fd uintptr) (done bool)) error {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if r.closed.Load() {
		return net.ErrClosed
	}
	return r.ended(until(f))
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
		n, errno = Transfer(syscall.SYS_RECVFROM, fd, p, 0)
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
			some, failed := Transfer(syscall.SYS_SENDTO, fd, p[n:], syscall.MSG_NOSIGNAL)
			if errno = failed; errno != 0 {
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

// most is how much one system call may move, in bytes: about what the kernel
// copies in twenty microseconds.
const most = 128 << 10

// Transfer makes one call on a socket that does not block: recvfrom or sendto,
// which are read and write without the layer for files, for no more than 128 KiB.
// (Where a kernel has them only behind another call, the net package does it all.)
func Transfer(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), most)),
			flags, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
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

// SetKeepAliveConfig is net.TCPConn's.
func (c *conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	return c.named("set", control(rawConn{c}, "setsockopt", func(fd uintptr) syscall.Errno { return probe(int(fd), k) }))
}

// SetLinger is net.TCPConn's: with 0, Close sends a reset.
func (c *conn) SetLinger(seconds int) error {
	l := syscall.Linger{Onoff: 1, Linger: int32(seconds)}
	if seconds < 0 {
		l = syscall.Linger{}
	}
	return c.named("set", control(rawConn{c}, "setsockopt", func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_LINGER,
			uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
		c.lingers.Store(seconds > 0)
		return errno
	}))
}

// CloseWrite is net.TCPConn's.
func (c *conn) CloseWrite() error {
	if c.finished.Swap(true) {
		return nil
	}
	return c.named("close", control(rawConn{c}, "shutdown", func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, syscall.SHUT_WR, 0)
		return errno
	}))
}

// control makes a call that may fail.
func control(raw syscall.RawConn, name string, call func(fd uintptr) syscall.Errno) error {
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { errno = call(fd) }); err != nil {
		return err
	}
	if errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}

// Close is net.Conn's. Whoever waits for the socket has to be woken, which os.File does.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return c.named("close", net.ErrClosed)
	}
	if c.waiting.Load() > 0 || c.lingers.Load() || !release(c.raw) {
		return c.named("close", c.file.Close())
	}
	closings.add(c.file)
	return nil
}

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
