//go:build linux && !386 && !s390x

package direct

import (
	"bytes"
	"crypto/tls"
	"io"
	"reflect"
	"testing"
	"unsafe"
)

func TestRestKnowsWhereCryptoTLSReadsInto(t *testing.T) {
	if reading == nil {
		t.Fatal("tls.Conn has no rawInput, hand and input of the types known: " +
			"silent connections take 2.25 KiB more each; see what this version of Go has instead")
	}
}

func TestRestDoesNothingWithATypeItDoesNotKnow(t *testing.T) {
	for _, unknown := range []any{
		struct{ rawInput, hand bytes.Buffer }{},
		struct {
			rawInput, input []byte
			hand            bytes.Buffer
		}{},
	} {
		if at := findReading(reflect.TypeOf(unknown)); at != nil {
			t.Errorf("%T: fields were found: %v", unknown, *at)
		}
	}
}

func TestARestedConnectionHoldsNoBufferAndGoesOn(t *testing.T) {
	server, client := pair(t)
	word, got := []byte("in both directions"), make([]byte, 64)
	for range 3 {
		for _, way := range []struct{ from, to io.ReadWriter }{{client, server}, {server, client}} {
			if _, err := way.from.Write(word); err != nil {
				t.Fatal(err)
			}
			if n, err := way.to.Read(got); err != nil || !bytes.Equal(got[:n], word) {
				t.Fatalf("read %q, %v", got[:n], err)
			}
		}
		server.Rest()
		if raw := readingOf(server.Conn); raw.Cap() != 0 {
			t.Errorf("%d bytes are held after Rest", raw.Cap())
		}
	}
}

func TestRestLeavesWhatWasNotReadYet(t *testing.T) {
	server, client := pair(t)
	if _, err := client.Write([]byte("some words")); err != nil {
		t.Fatal(err)
	}
	first, others := make([]byte, 4), make([]byte, 64)
	if _, err := io.ReadFull(server, first); err != nil {
		t.Fatal(err)
	}
	server.Rest()
	if n, err := server.Read(others); err != nil || string(first)+string(others[:n]) != "some words" {
		t.Errorf("read %q and then %q, %v", first, others[:n], err)
	}
}

func readingOf(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), reading.raw))
}
