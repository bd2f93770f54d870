package health

import (
	"context"
	"net"
	"strconv"

	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/wire/proxyproto"
)

// A door is how a check comes to its target.
type door struct {
	hello []byte // before all else
	port  int    // in place of the target's; 0: its own
	tls   *secure.Client
}

func (c Config) door() door {
	d := door{port: c.Port, tls: c.TLS}
	if c.Port == 0 { // another port is another server's, which nobody told of PROXY headers
		d.hello = proxyproto.Plan{Version: c.Proxy}.Local()
	}
	return d
}

// at is the address that is asked, for the target at address.
func (d door) at(address string) string {
	if d.port == 0 {
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address // dialing it will say what is wrong
	}
	return net.JoinHostPort(host, strconv.Itoa(d.port))
}

// open connects for a check of the target at address, with TLS if the door has it.
// The connection ends when ctx does, by deadline or by being closed; release stops
// that and closes it.
func (d door) open(ctx context.Context, address string) (c net.Conn, release func(), err error) {
	var dialer net.Dialer
	address = d.at(address)
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	release = func() { stop(); raw.Close() }
	if len(d.hello) > 0 {
		if _, err := raw.Write(d.hello); err != nil {
			release()
			return nil, nil, err
		}
	}
	if d.tls == nil {
		return raw, release, nil
	}
	conn, err := d.tls.Handshake(ctx, raw, address, "")
	if err != nil {
		release()
		return nil, nil, err
	}
	return outspoken{conn, raw.(*net.TCPConn)}, release, nil
}

// An outspoken connection of TLS is one whose reader is told why it ended. A target
// that refuses our certificate sends an alert and closes: what is written then
// fails, but the alert is still there to be read.
type outspoken struct {
	*secure.Conn
	raw *net.TCPConn
}

func (c outspoken) Write(p []byte) (int, error) {
	c.Conn.Write(p)
	return len(p), nil
}
