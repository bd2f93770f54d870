// Package resolvetest is a DNS server on loopback, for tests.
package resolvetest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A Record is an answer.
type Record struct {
	TTL      uint32
	Address  netip.Addr // of A or AAAA
	Host     string     // of SRV
	Port     uint16
	Priority uint16
	Weight   uint16
}

// A Server answers by UDP and TCP at one address.
type Server struct {
	t       testing.TB
	packets net.PacketConn
	streams net.Listener

	mu      sync.Mutex
	records map[string][]Record // by name with its dot
	code    dnsmessage.RCode
	asked   int
	cuts    bool
}

// New starts a server, which stops with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, records: map[string][]Record{}}
	var err error
	if s.streams, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if s.packets, err = net.ListenPacket("udp", s.streams.Addr().String()); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(s.servePackets)
	running.Go(s.serveStreams)
	t.Cleanup(func() {
		s.packets.Close()
		s.streams.Close()
		running.Wait()
	})
	return s
}

// Dial leads every question here, whatever server it was meant for.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.streams.Addr().String())
}

// Set makes records the answer about name.
func (s *Server) Set(name string, records ...Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[strings.ToLower(name)+"."] = records
}

// Fail has every question answered with that code; 0: as it should be.
func (s *Server) Fail(code dnsmessage.RCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

// Asked is how many questions there were.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Truncate has answers over UDP say that they are longer, and nothing else.
func (s *Server) Truncate(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = yes
}

func (s *Server) truncates() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cuts
}

func (s *Server) servePackets() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.answer(buf[:n], s.truncates()); answer != nil {
			s.packets.WriteTo(answer, from)
		}
	}
}

func (s *Server) serveStreams() {
	for {
		conn, err := s.streams.Accept()
		if err != nil {
			return
		}
		s.serveStream(conn)
	}
}

func (s *Server) serveStream(conn net.Conn) {
	defer conn.Close()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	answer := s.answer(question, false)
	conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}

func (s *Server) answer(message []byte, truncate bool) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	records, known := s.records[strings.ToLower(q.Name.String())]
	switch {
	case s.code != 0:
		m.RCode = s.code
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case truncate:
		m.Truncated = true
	default:
		for _, r := range records {
			if body := r.body(q.Type); body != nil {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: r.TTL}, Body: body})
			}
		}
	}
	answer, err := m.Pack()
	if err != nil {
		s.t.Error(err)
	}
	return answer
}

func (r Record) body(t dnsmessage.Type) dnsmessage.ResourceBody {
	switch {
	case t == dnsmessage.TypeSRV && r.Host != "":
		return &dnsmessage.SRVResource{Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: dnsmessage.MustNewName(r.Host)}
	case t == dnsmessage.TypeA && r.Address.Is4():
		return &dnsmessage.AResource{A: r.Address.As4()}
	case t == dnsmessage.TypeAAAA && r.Address.Is6():
		return &dnsmessage.AAAAResource{AAAA: r.Address.As16()}
	}
	return nil
}
