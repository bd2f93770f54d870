package private

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/proxyproto"
)

func newTarget() *Target {
	way := reach.New(reach.Config{Address: "192.0.2.1:80", Now: time.Now, Failed: func(error) {}})
	return NewTarget(Config{Plan: proxyproto.Plan{Version: 1}, Way: way, Done: func() {}})
}

func newClient() *Client {
	return New(&proxyproto.Connection{Source: netip.MustParseAddrPort("192.0.2.9:1"), Destination: netip.MustParseAddrPort("192.0.2.10:443")})
}

// at begins an exchange and ends it.
func at(t *testing.T, c *Client, target *Target) *Own {
	t.Helper()
	own, err := c.At(target)
	if err != nil {
		t.Fatal(err)
	}
	own.Done()
	return own
}

func TestAClientHasItsOwnConnectionsToEachTarget(t *testing.T) {
	first, second, a, b := newTarget(), newTarget(), newClient(), newClient()
	own := at(t, a, first)
	if at(t, a, first) != own {
		t.Error("the next exchange of a client has other connections to the target")
	}
	if at(t, a, second) == own || at(t, b, first) == own {
		t.Error("two targets or two clients share connections")
	}
	if first.Clients() != 2 || second.Clients() != 1 {
		t.Errorf("%d and %d clients, want 2 and 1", first.Clients(), second.Clients())
	}
}

func TestAClientThatStaysForgetsTargetsThatHaveEnded(t *testing.T) {
	old, c := newTarget(), newClient()
	at(t, c, old)
	old.End()
	at(t, c, newTarget())
	if len(c.own) != 1 {
		t.Errorf("%d targets are remembered", len(c.own))
	}
	if _, err := c.At(old); !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("a target that has ended: %v", err)
	}
}

func TestATargetForgetsClientsThatAreGone(t *testing.T) {
	target, stays, goes := newTarget(), newClient(), newClient()
	at(t, stays, target)
	own, err := goes.At(target)
	if err != nil {
		t.Fatal(err)
	}
	goes.Close()
	target.Expire(time.Now())
	if n := target.Clients(); n != 2 {
		t.Errorf("%d clients while one that goes has an exchange under way, want 2", n)
	}
	own.Done()
	target.Expire(time.Now())
	if n := target.Clients(); n != 1 {
		t.Errorf("%d clients, want the one that stays", n)
	}
}
