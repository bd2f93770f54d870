package http_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
)

// A socket is one end of a WebSocket, whichever version of HTTP it began in.
type socket interface {
	send(s string)
	// receive returns the next n octets, or those before the end.
	receive(n int) string
	finish() // half
	tear()   // at once
	// end tells how the other side ended: "finished" or "torn".
	end() string
}

// A connSocket is one over a connection of HTTP/1.1.
type connSocket struct {
	net.Conn
	r *bufio.Reader
}

func (s *connSocket) send(d string) { io.WriteString(s, d) }
func (s *connSocket) receive(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(s.r, b)
	return string(b[:n])
}
func (s *connSocket) finish() { s.Conn.(*net.TCPConn).CloseWrite() }
func (s *connSocket) tear()   { s.Conn.(*net.TCPConn).SetLinger(0); s.Conn.Close() }
func (s *connSocket) end() string {
	if _, err := io.Copy(io.Discard, s.r); err != nil {
		return "torn"
	}
	return "finished"
}

// A streamSocket is one over a stream of HTTP/2.
type streamSocket struct {
	*peer
	id    uint32
	buf   string
	ended string
}

func (s *streamSocket) send(d string) { s.data(s.id, false, d) }
func (s *streamSocket) receive(n int) string {
	for len(s.buf) < n && s.ended == "" {
		s.pump()
	}
	n = min(n, len(s.buf))
	d := s.buf[:n]
	s.buf = s.buf[n:]
	return d
}

func (s *streamSocket) pump() {
	f, err := s.next()
	switch {
	case err != nil:
		s.ended = "torn"
	case f.id != s.id:
	case f.kind == h2.FrameRSTStream:
		s.ended = "torn"
	default:
		s.buf += f.data
		if f.end {
			s.ended = "finished"
		}
	}
}
func (s *streamSocket) finish() { s.data(s.id, true, "") }
func (s *streamSocket) tear()   { s.reset(s.id, h2.ErrCodeCancel) }
func (s *streamSocket) end() string {
	for s.ended == "" {
		s.pump()
	}
	return s.ended
}

// takesConnect is a target's word that it knows RFC 8441.
var takesConnect = h2.Setting{ID: h2.SettingEnableConnectProtocol, Val: 1}

// acceptFor is RFC 6455 section 4.2.2.
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// socketTarget is a target that takes WebSockets, says early behind the
// handshake, and hands them to handle.
func socketTarget(t *testing.T, version, early string, handle func(socket)) string {
	if version == v1 {
		return target(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			head, err := readHead(r)
			if err != nil {
				return
			}
			h := heard{head: head}
			key := h.fields("Sec-WebSocket-Key")
			if len(key) != 1 || h.line() != "GET /chat HTTP/1.1" || !strings.EqualFold(strings.Join(h.fields("Upgrade"), ","), "websocket") ||
				strings.Join(h.fields("Connection"), ",") != "Upgrade" || len(h.fields("Content-Length"))+len(h.fields("Transfer-Encoding")) > 0 {
				t.Errorf("the target got %q", head)
				return
			}
			if raw, err := base64.StdEncoding.DecodeString(key[0]); err != nil || len(raw) != 16 {
				t.Errorf("the key is %q", key)
			}
			io.WriteString(conn, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+acceptFor(key[0]), "Sec-WebSocket-Protocol: chat")+early)
			handle(&connSocket{conn, r})
		})
	}
	return target2(t, func(p *peer) {
		f, err := p.next()
		if err != nil {
			return
		}
		if f.get(":method") != "CONNECT" || f.get(":protocol") != "websocket" || f.get(":path") != "/chat" || f.get(":scheme") != "http" || f.end ||
			f.has("sec-websocket-key") || f.has("content-length") || f.has("upgrade") || f.get("sec-websocket-version") != "13" {
			t.Errorf("the target got %v", f)
			return
		}
		p.head(f.id, false, ":status", "200", "sec-websocket-protocol", "chat")
		s := &streamSocket{peer: p, id: f.id}
		if early != "" {
			s.send(early)
		}
		handle(s)
	}, takesConnect)
}

const (
	chatKey     = "dGhlIHNhbXBsZSBub25jZQ=="
	chatRequest = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Key: " + chatKey + "\r\n\r\n"
)

// chat2 is the request over HTTP/2.
var chat2 = []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h", ":path", "/chat",
	"sec-websocket-version", "13", "sec-websocket-protocol", "chat"}

// socket makes a WebSocket through the bench, early being said behind the
// request before there is an answer.
func (b *bench) socket(version, early string) socket {
	b.t.Helper()
	if version == v1 {
		c := b.dial()
		c.write(chatRequest + early)
		h := heard{head: c.head()}
		if !strings.HasPrefix(h.head, "HTTP/1.1 101 ") || strings.Join(h.fields("Sec-WebSocket-Accept"), ",") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
			strings.Join(h.fields("Upgrade"), ",") != "websocket" || !strings.Contains(strings.ToLower(h.head), "\r\nsec-websocket-protocol: chat\r\n") {
			b.t.Fatalf("got %q", h.head)
		}
		return &connSocket{c.Conn, c.r}
	}
	p := b.dial2()
	p.head(1, false, chat2...)
	if early != "" {
		p.data(1, false, early)
	}
	f := p.await(b.t, h2.FrameHeaders)
	if f.get(":status") != "200" || f.end || f.has("sec-websocket-accept") || f.has("upgrade") || f.get("sec-websocket-protocol") != "chat" {
		b.t.Fatalf("got %v", f)
	}
	if !p.connect {
		b.t.Error("the client was not told that there are extended CONNECTs (RFC 8441 section 3)")
	}
	return &streamSocket{peer: p, id: 1}
}
