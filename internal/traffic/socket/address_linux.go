//go:build !386 && !s390x

package socket

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// An address is a peer's or our own, as the kernel writes it.
type address struct {
	raw  syscall.RawSockaddrAny
	size uint32
}

// port is in network byte order.
func port(p *uint16) *[2]byte { return (*[2]byte)(unsafe.Pointer(p)) }

// tcp is the address as the net package has it; nil if it is neither IPv4 nor IPv6.
func (a *address) tcp() *net.TCPAddr {
	switch a.raw.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		ip := in.Addr
		return &net.TCPAddr{IP: ip[:], Port: int(binary.BigEndian.Uint16(port(&in.Port)[:]))}
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		ip := in.Addr
		return &net.TCPAddr{IP: ip[:], Port: int(binary.BigEndian.Uint16(port(&in.Port)[:])), Zone: zone(in.Scope_id)}
	}
	return nil
}

// zone is the name of the interface that a link-local address belongs to.
func zone(id uint32) string {
	if id == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// from makes the kernel's form of an address without a zone.
func (a *address) from(ap netip.AddrPort) (family int) {
	if ap.Addr().Is4() {
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		in.Family, in.Addr = syscall.AF_INET, ap.Addr().As4()
		binary.BigEndian.PutUint16(port(&in.Port)[:], ap.Port())
		a.size = uint32(unsafe.Sizeof(*in))
		return syscall.AF_INET
	}
	in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
	in.Family, in.Addr = syscall.AF_INET6, ap.Addr().As16()
	binary.BigEndian.PutUint16(port(&in.Port)[:], ap.Port())
	a.size = uint32(unsafe.Sizeof(*in))
	return syscall.AF_INET6
}

// localAddr is the address that a socket has on this machine.
func localAddr(fd int) (*net.TCPAddr, error) {
	a := address{size: syscall.SizeofSockaddrAny}
	_, _, errno := syscall.RawSyscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(unsafe.Pointer(&a.size)))
	if errno != 0 {
		return nil, os.NewSyscallError("getsockname", errno)
	}
	return a.tcp(), nil
}
