package clienthello_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"countersign.dev/internal/wire/clienthello"
)

// hello is what crypto/tls sends first.
func hello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(theirs, c).Handshake()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(ours, head); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5+int(binary.BigEndian.Uint16(head[3:])))
	copy(b, head)
	if _, err := io.ReadFull(ours, b[5:]); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	<-done
	return b
}

func named(name string) *tls.Config { return &tls.Config{ServerName: name, InsecureSkipVerify: true} }

// refragmented spreads the message of one record over records of size bytes.
func refragmented(b []byte, size int) (out []byte) {
	for body := b[5:]; len(body) > 0; {
		n := min(size, len(body))
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	return out
}

func TestTheServerNameIsFound(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config *tls.Config
	}{
		{"api.example.com", named("api.example.com")},
		{"API.Example.COM", named("API.Example.COM")},
		{"", &tls.Config{InsecureSkipVerify: true}},
		{"old.example.com", &tls.Config{ServerName: "old.example.com", MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}},
		{"a.example.com", &tls.Config{ServerName: "a.example.com", NextProtos: []string{"h2", "mqtt"}}},
	} {
		h, err := clienthello.Parse(hello(t, tc.config))
		if err != nil || h.ServerName != tc.name {
			t.Errorf("%q: %q, %v", tc.name, h.ServerName, err)
		}
	}
}

// Of a client that hides its name, the one that it shows instead is seen (RFC 9849
// section 6.1).
func TestTheOuterNameOfECHIsSeen(t *testing.T) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := key.PublicKey().Bytes()
	content := []byte{7, 0, 32, 0, 32} // config_id, DHKEM(X25519), the length of the key
	content = append(content, public...)
	content = append(content, 0, 4, 0, 1, 0, 1, 32)                                    // HKDF-SHA256, AES-128-GCM; the longest name
	content = append(append(content, 16), append([]byte("outer.example.co"), 0, 0)...) // public_name; no extensions
	config := append([]byte{0xfe, 0x0d, 0, byte(len(content))}, content...)
	list := append([]byte{0, byte(len(config))}, config...)
	b := hello(t, &tls.Config{ServerName: "inner.example.com", EncryptedClientHelloConfigList: list, MinVersion: tls.VersionTLS13})
	if h, err := clienthello.Parse(b); err != nil || h.ServerName != "outer.example.co" {
		t.Errorf("%q, %v; want the outer name", h.ServerName, err)
	}
	if bytes.Contains(b, []byte("inner.example.com")) {
		t.Error("the inner name is in the clear")
	}
}

func TestAHelloMayBeSpreadOverAnyRecordsAndCut(t *testing.T) {
	whole := hello(t, named("api.example.com"))
	for size := 1; size < len(whole); size = size*2 + 1 {
		spread := refragmented(whole, size)
		for n := range len(spread) {
			_, err := clienthello.Parse(spread[:n])
			more, ok := errors.AsType[*clienthello.IncompleteError](err)
			if !ok || more.Need <= n || more.Need > len(spread) {
				t.Fatalf("records of %d bytes, %d of %d: %v", size, n, len(spread), err)
			}
		}
		h, err := clienthello.Parse(append(spread, "and what comes behind it"...))
		if err != nil || h.ServerName != "api.example.com" {
			t.Errorf("records of %d bytes: %q, %v", size, h.ServerName, err)
		}
	}
}

func TestWhatIsNotTLSIsSaidToBeNone(t *testing.T) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH\r\n", "\x00", "\x10\x0c\x00\x04MQTT", "\x16\x02", "\x16\x03\x01\x00\x00", "\x16\x03\x01\xff\xff",
		"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x15\x03\x01\x00\x02\x01\x00",
	} {
		if _, err := clienthello.Parse([]byte(s)); err != clienthello.ErrNotTLS {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	// build makes a record of a ClientHello with these extensions.
	build := func(extensions string) []byte {
		body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
		body += string([]byte{byte(len(extensions) >> 8), byte(len(extensions))}) + extensions
		message := string([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}) + body
		return []byte("\x16\x03\x01" + string([]byte{byte(len(message) >> 8), byte(len(message))}) + message)
	}
	name := "\x00\x00\x00\x06\x00\x04\x00\x00\x01a"
	if h, err := clienthello.Parse(build(name)); err != nil || h.ServerName != "a" {
		t.Fatalf("the sound one: %q, %v", h.ServerName, err)
	}
	for want, b := range map[string][]byte{
		"extension 0 twice":             build(name + name),
		"two server names":              build("\x00\x00\x00\x0a\x00\x08\x00\x00\x01a\x00\x00\x01b"),
		"a server name of 0 bytes":      build("\x00\x00\x00\x05\x00\x03\x00\x00\x00"),
		"no whole list of server names": build("\x00\x00\x00\x02\x00\x00"),
		"not whole":                     build("\x00\x00\x00\x06\x00\x04\x00\x00\x09a"),
		"an extension that is not":      build("\x00\x00\x00\xff"),
		"a record of another kind":      []byte("\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01x"),
		"a record of 0 bytes":           []byte("\x16\x03\x01\x00\x01\x01\x16\x03\x03\x00\x00"),
		"want 65536 at most":            []byte("\x16\x03\x01\x00\x04\x01\x01\x00\x01"),
		"a version before":              []byte("\x16\x03\x01\x00\x06\x01\x00\x00\x02\x02\x00"),
	} {
		_, err := clienthello.Parse(b)
		if _, ok := errors.AsType[*clienthello.MalformedError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What is found never depends on how it was cut, and crypto/tls finds the same.
func FuzzParse(f *testing.F) {
	f.Add(hello(f, named("api.example.com")), uint16(7))
	f.Add(hello(f, &tls.Config{ServerName: "b.example.com", MaxVersion: tls.VersionTLS12}), uint16(1))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint16(3))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x01\x00\x01"), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		h, err := clienthello.Parse(b)
		if err != nil {
			if h != (clienthello.Hello{}) {
				t.Fatalf("%+v with %v", h, err)
			}
			if more, ok := errors.AsType[*clienthello.IncompleteError](err); ok && (more.Need <= len(b) || more.Need > clienthello.MaxSize) {
				t.Fatalf("of %d bytes %d are needed", len(b), more.Need)
			}
			return
		}
		n := 5 + int(b[3])<<8 + int(b[4])
		if size == 0 || n > len(b) || int(b[6])<<16+int(b[7])<<8+int(b[8])+9 != n {
			return // spread over several records already
		}
		again, err := clienthello.Parse(refragmented(b[:n], int(size)))
		if malformed, ok := errors.AsType[*clienthello.MalformedError](err); ok && strings.Contains(malformed.What, "with the heads") {
			return
		}
		if err != nil || again != h {
			t.Fatalf("cut into records of %d: %+v, %v; whole: %+v", size, again, err, h)
		}
		if seen, ok := seenByTLS(b[:n]); ok && seen != h.ServerName {
			t.Fatalf("crypto/tls sees %q, Parse %q", seen, h.ServerName)
		}
	})
}

// seenByTLS is the server name that crypto/tls finds, if it takes the message.
func seenByTLS(b []byte) (name string, ok bool) {
	ours, theirs := net.Pipe()
	go func() {
		theirs.Write(b)
		io.Copy(io.Discard, theirs)
	}()
	enough := errors.New("enough")
	tls.Server(ours, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = h.ServerName, true
		return nil, enough
	}}).Handshake()
	ours.Close()
	theirs.Close()
	return name, ok
}
