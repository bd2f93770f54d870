package direct

import (
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// A purse lends one buffer, and knows whether it has it.
type purse struct {
	buf         [16]byte
	out         bool
	lent, wrong int
}

func (p *purse) Borrow() []byte {
	if p.out {
		p.wrong++
	}
	p.out = true
	p.lent++
	return p.buf[:]
}

func (p *purse) Return() {
	if !p.out {
		p.wrong++
	}
	p.out = false
}

func TestABufferIsLentOnlyToWhoHasSomethingToRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	c, p := Wrap(accepted), &purse{}

	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := ReadLent(c, p); n != 0 || !os.IsTimeout(err) || p.out {
		t.Fatalf("silence: %d, %v; lent: %v", n, err, p.out)
	}
	c.SetReadDeadline(time.Time{})
	peer.Write([]byte("hello"))
	if n, err := ReadLent(c, p); err != nil || string(p.buf[:n]) != "hello" || !p.out {
		t.Fatalf("%q, %v; lent: %v", p.buf[:n], err, p.out)
	}
	p.Return()
	peer.Close()
	if n, err := ReadLent(c, p); n != 0 || err != io.EOF || p.out {
		t.Fatalf("the end: %d, %v; lent: %v", n, err, p.out)
	}
	accepted.Close()
	if n, err := ReadLent(c, p); n != 0 || err == nil || p.out {
		t.Fatalf("closed: %d, %v; lent: %v", n, err, p.out)
	}
	if p.wrong != 0 {
		t.Errorf("the buffer was borrowed or returned %d times too often", p.wrong)
	}
}
