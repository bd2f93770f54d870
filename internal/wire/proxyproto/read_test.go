package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection on loopback. Ours has a deadline,
// so that a test ends.
func pair(t testing.TB) (ours, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	in.SetDeadline(time.Now().Add(time.Minute))
	return in.(*net.TCPConn), out.(*net.TCPConn)
}

func TestNothingBehindAHeaderIsTaken(t *testing.T) {
	behind := "\x16\x03\x01\x02\x00\x01hello"
	for name, header := range map[string]string{
		"version 1":                "PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\n",
		"version 2":                summed(tlv(TypeAuthority, "a")),
		"the longest of version 1": "PROXY UNKNOWN " + strings.Repeat("x", MaxV1-16) + "\r\n",
		"the longest of version 2": v2(proxy, tcp4, ends4, tlv(0xe0, strings.Repeat("x", 4096-15))),
	} {
		for how, piece := range map[string]int{"in one segment": 1 << 20, "byte by byte": 1, "in threes": 3} {
			t.Run(name+", "+how, func(t *testing.T) {
				ours, peer := pair(t)
				go func() {
					for rest := header + behind; rest != ""; {
						n := min(piece, len(rest))
						io.WriteString(peer, rest[:n])
						rest = rest[n:]
					}
					peer.CloseWrite()
				}()
				if found, err := Begins(ours); !found || err != nil {
					t.Fatalf("Begins: %v, %v", found, err)
				}
				if _, err := Read(ours); err != nil {
					t.Fatal(err)
				}
				if rest, err := io.ReadAll(ours); string(rest) != behind || err != nil {
					t.Errorf("left: %q, %v", rest, err)
				}
			})
		}
	}
}

func TestWhatIsNoHeaderIsLeftThere(t *testing.T) {
	for _, said := range []string{"GET / HTTP/1.1\r\n\r\n", "PROPFIND / HTTP/1.1\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n"} {
		ours, peer := pair(t)
		io.WriteString(peer, said)
		peer.CloseWrite()
		found, err := Begins(ours)
		rest, _ := io.ReadAll(ours)
		if found || err != nil || string(rest) != said {
			t.Errorf("%q: %v, %v, left %q", said, found, err, rest)
		}
	}
}

func TestSilenceAndAnEndAreToldApart(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		ours, peer := pair(t)
		io.WriteString(peer, "PROX")
		ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		if found, err := Begins(ours); found || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v, %v", found, err)
		}
	})
	t.Run("an end", func(t *testing.T) {
		ours, peer := pair(t)
		peer.CloseWrite()
		if found, err := Begins(ours); found || err != ErrSilent {
			t.Errorf("%v, %v", found, err)
		}
	})
	for name, said := range map[string]string{
		"an end within version 1":  "PROXY TCP4 192.0",
		"an end within version 2":  v2(proxy, tcp4, ends4)[:20],
		"an end within the prefix": v2(proxy, tcp4, ends4)[:13],
	} {
		t.Run(name, func(t *testing.T) {
			ours, peer := pair(t)
			io.WriteString(peer, said)
			peer.CloseWrite()
			if h, err := Read(ours); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v, %v", h, err)
			}
		})
	}
}

// Neither more bytes than a header may have are waited for, nor its end.
func TestAMalformedHeaderIsRefusedBeforeItsEnd(t *testing.T) {
	for name, said := range map[string]string{
		"version 1 without an end":  "PROXY TCP4 " + strings.Repeat("1", MaxV1),
		"64 KiB of TLVs":            v2(proxy, tcp4, ends4, strings.Repeat("x", 60000))[:16],
		"version 3":                 v2(0x31, tcp4, ends4)[:16],
		"a header within a header":  v2(proxy, tcp4, ends4) + v2(proxy, tcp4, ends4),
		"version 1 behind 2":        v2(proxy, tcp4, ends4) + "PROXY UNKNOWN\r\n",
		"a signature with an error": "\r\n\r\n\x00\r\nQUIT\r0000",
	} {
		t.Run(name, func(t *testing.T) {
			ours, peer := pair(t)
			io.WriteString(peer, said)
			var wrong *MalformedError
			if h, err := Read(ours); !errors.As(err, &wrong) {
				t.Errorf("%v, %v", h, err)
			}
		})
	}
}

// Whatever comes, a header that counts is taken from its first byte to its last,
// and what is none is not touched.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\nGET", "PROXY UNKNOWN\r\n\x16\x03", summed(tlv(TypeAuthority, "a")) + "\x16\x03\x01",
		v2(local, 0) + v2(local, 0), "PROPFIND /", "PROXY TCP4", "\r\n\r\n\x00", v2(proxy, tcp6, ends6),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 60_000 {
			return
		}
		ours, peer := pair(t)
		peer.Write(b)
		peer.CloseWrite()
		ours.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) // an end within a signature is found out by it alone
		found, err := Begins(ours)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if found != (begins(b[:min(len(b), 12)]) == yes) {
			t.Fatalf("found %v, %v in %q", found, err, b)
		}
		ours.SetReadDeadline(time.Now().Add(time.Minute))
		taken := 0
		if found {
			_, err := Read(ours)
			if err != nil {
				return
			}
			if b[0] == 'P' {
				taken = bytes.IndexByte(b, '\n') + 1
			} else {
				taken = prefixSize + int(binary.BigEndian.Uint16(b[14:]))
			}
		}
		if rest, err := io.ReadAll(ours); err != nil || !bytes.Equal(rest, b[taken:]) {
			t.Fatalf("%q is left of %q, %v", rest, b, err)
		}
	})
}
