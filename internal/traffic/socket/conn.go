package socket

import (
	"net"
	"syscall"
)

// A Conn is a TCP connection, with the methods of *net.TCPConn, which is one.
type Conn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
	SetLinger(seconds int) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// Of returns the connection at the bottom of conn, beneath TLS and whatever else
// has a NetConn method; nil if it is not TCP.
func Of(conn net.Conn) Conn {
	for {
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = over.NetConn()
	}
	tcp, _ := conn.(Conn)
	return tcp
}
