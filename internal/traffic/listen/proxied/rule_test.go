package proxied_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
	"countersign.dev/internal/traffic/listen/proxied"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// accepted returns a connection from 127.0.0.1 to a socket for IPv4 and IPv6.
func accepted(t *testing.T) (ours *net.TCPConn, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err = net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().(*net.TCPAddr).AddrPort().Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); peer.Close() })
	return conn.(*net.TCPConn), peer
}

func TestABalancerIsKnownByIPv4ThoughTheSocketIsForBoth(t *testing.T) {
	ours, peer := accepted(t)
	io.WriteString(peer, "PROXY TCP6 2001:db8::1 2001:db8::2 4242 443\r\nhello")
	rule := proxied.Rule{Required: true, From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: time.Minute}
	h, err := rule.Ask(t.Context(), ours)
	if err != nil || h.Source.String() != "[2001:db8::1]:4242" {
		t.Fatalf("%+v, %v", h, err)
	}
	rest := make([]byte, 5)
	if _, err := io.ReadFull(ours, rest); err != nil || string(rest) != "hello" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestAnEndOfTheContextEndsTheWait(t *testing.T) {
	ours, _ := accepted(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rule := proxied.Rule{From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: time.Hour}
	_, err := rule.Ask(ctx, ours)
	if denial, ok := errors.AsType[*countersign.Denial](err); !ok || denial.Code != countersign.ShuttingDown {
		t.Error(err)
	}
}

// Nobody is believed where nobody is named.
func TestARuleWithoutNetworksBelievesNobody(t *testing.T) {
	for _, required := range []bool{false, true} {
		ours, peer := accepted(t)
		io.WriteString(peer, "PROXY UNKNOWN\r\n")
		_, err := (&proxied.Rule{Required: required, Timeout: time.Minute}).Ask(t.Context(), ours)
		if denial, ok := errors.AsType[*countersign.Denial](err); !ok || denial.Code != countersign.ProxyHeaderUntrusted {
			t.Errorf("required %t: %v", required, err)
		}
	}
}
