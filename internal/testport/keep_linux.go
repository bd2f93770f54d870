package testport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Keep returns an address of 127.0.0.1 at which nobody listens. Until release,
// whoever names it can listen there, as often as it takes, with SO_REUSEADDR as
// servers have it. The kernel gives the port to nobody else, since it is bound.
func Keep() (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	var bound syscall.Sockaddr
	err = errors.Join(
		os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)),
		os.NewSyscallError("bind", syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})),
	)
	if err == nil {
		bound, err = syscall.Getsockname(fd)
	}
	if err != nil {
		syscall.Close(fd)
		return "", nil, fmt.Errorf("keep a port: %w", err)
	}
	at := bound.(*syscall.SockaddrInet4)
	return (&net.TCPAddr{IP: at.Addr[:], Port: at.Port}).String(), func() { syscall.Close(fd) }, nil
}
