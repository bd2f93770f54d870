package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A device is a client that holds one connection over several lines of a script, which curl
// cannot.
type device struct {
	conn   net.Conn
	reader *bufio.Reader
}

// cmdClient is about a connection called NAME:
//
//	client NAME connect ADDRESS [-pem FILE] [-ca FILE] [-sni NAME] [-drip]
//	client NAME request METHOD TARGET [FIELD...]
//	client NAME send METHOD TARGET [FIELD...]
//	client NAME write TEXT
//	client NAME receive
//	client NAME closed
//
// Connect makes a TLS handshake, verified by -ca; with -drip it sends the
// ClientHello in segments of one byte. Without -ca it stays a TCP connection.
// Send writes a request without a body, receive prints the response to it;
// request is both. Write writes text, in which \r, \n, \x00 are as in Go. Closed
// waits for the other side to end the connection, and prints what still comes.
func cmdClient(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: client NAME connect|request|send|receive|closed ...")
	}
	s := stageOf(ts)
	name, verb, args := args[0], args[1], args[2:]
	if verb == "connect" {
		c, err := connect(ts, args)
		ts.Check(err)
		ts.Defer(func() { c.conn.Close() })
		s.clients[name] = c
		return
	}
	c := s.clients[name]
	if c == nil {
		ts.Fatalf("client %s is not connected", name)
	}
	ts.Check(c.conn.SetDeadline(time.Now().Add(longest)))
	switch verb {
	case "request":
		ts.Check(c.send(args))
		ts.Check(c.receive(ts.Stdout()))
	case "send":
		ts.Check(c.send(args))
	case "write":
		text, err := strconv.Unquote(`"` + strings.Join(args, " ") + `"`)
		ts.Check(err)
		_, err = io.WriteString(c.conn, text)
		ts.Check(err)
	case "receive":
		ts.Check(c.receive(ts.Stdout()))
	case "closed":
		ts.Check(c.closed(ts.Stdout()))
	default:
		ts.Fatalf("client %s: there is no %q", name, verb)
	}
}

func connect(ts *testscript.TestScript, args []string) (*device, error) {
	flags := flag.NewFlagSet("connect", flag.ContinueOnError)
	pair := flags.String("pem", "", "certificates and key")
	ca := flags.String("ca", "", "the server's anchor")
	sni := flags.String("sni", "", "server name")
	drip := flags.Bool("drip", false, "the ClientHello byte by byte")
	if len(args) == 0 {
		return nil, errors.New("connect to where?")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", args[0], longest)
	if err != nil {
		return nil, err
	}
	if *ca == "" {
		return &device{conn, bufio.NewReader(conn)}, nil
	}
	if *drip {
		conn = &dripping{Conn: conn}
	}
	config := &tls.Config{ServerName: *sni, RootCAs: x509.NewCertPool()}
	if *sni == "" {
		if config.ServerName, _, err = net.SplitHostPort(args[0]); err != nil {
			return nil, err
		}
	}
	config.RootCAs.AppendCertsFromPEM([]byte(ts.ReadFile(*ca)))
	if *pair != "" {
		certificate, err := tls.LoadX509KeyPair(ts.MkAbs(*pair), ts.MkAbs(*pair))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	if err := conn.SetDeadline(time.Now().Add(longest)); err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return &device{secure, bufio.NewReader(secure)}, nil
}

// send writes a request; its arguments are the words of the request line
// without the version, and fields.
func (c *device) send(args []string) error {
	if len(args) < 2 {
		return errors.New("want METHOD TARGET [FIELD...]")
	}
	head := args[0] + " " + args[1] + " HTTP/1.1\r\n" + strings.Join(append(args[2:], "", ""), "\r\n")
	_, err := io.WriteString(c.conn, head)
	return err
}

// receive prints one response.
func (c *device) receive(w io.Writer) error {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("no response: %w", err)
	}
	defer response.Body.Close()
	return response.Write(w)
}

// closed prints what still comes, until the end. A reset is an end, too.
func (c *device) closed(w io.Writer) error {
	_, err := io.Copy(w, c.reader)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection is still open after %s", longest)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		fmt.Fprintln(w, err) // a TLS alert
	}
	return nil
}

// A dripping connection writes its first flight in segments of one byte.
type dripping struct {
	net.Conn
	dripped bool
}

func (d *dripping) Write(b []byte) (int, error) {
	if d.dripped {
		return d.Conn.Write(b)
	}
	d.dripped = true
	for i := range b { // Go sets TCP_NODELAY
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}
