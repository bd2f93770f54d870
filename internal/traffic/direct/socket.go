package direct

import "net"

// Socket returns the connection at the bottom of conn, beneath TLS and whatever else
// has a NetConn method; nil if it is not TCP.
func Socket(conn net.Conn) *net.TCPConn {
	for {
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = over.NetConn()
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}
