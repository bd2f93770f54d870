package upstream

import (
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/pool"
)

// inUse returns a connection in use to a target of g; ended waits until others have
// closed it.
func inUse(t *testing.T, g *Group) (c *pool.Conn, ended func()) {
	t.Helper()
	c, err := pick(t, g).DialAs(t.Context(), "", false)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	c.OnEnd(func() { close(over) })
	return c, func() {
		t.Helper()
		select {
		case <-over:
		case <-time.After(patience):
			t.Fatal("the connection is still open")
		}
	}
}

// A connection in use to a target that turns unhealthy ends when its group says so.
func TestAnUnhealthyTargetKeepsItsConnectionsForAsLongAsItMay(t *testing.T) {
	at, never := &Termination{UnhealthyDraining: time.Minute}, &Termination{}
	tests := map[string]struct {
		begins *Termination
		then   func(t *testing.T, f *testFleet, b *backend, apply func(*Termination) *Group)
		ends   bool
	}{
		"to the end of its interval": {at, func(t *testing.T, f *testFleet, _ *backend, _ func(*Termination) *Group) {
			f.pass(t, time.Minute)
		}, true},
		"until then": {at, func(t *testing.T, f *testFleet, _ *backend, _ func(*Termination) *Group) {
			f.pass(t, 59*time.Second)
		}, false},
		"and is healthy again": {at, func(t *testing.T, f *testFleet, b *backend, apply func(*Termination) *Group) {
			f.pass(t, 59*time.Second)
			b.status.Store(200)
			f.check(t, apply(at), b.address())
			f.pass(t, time.Hour)
		}, false},
		"at once":  {&Termination{Unhealthy: true}, func(*testing.T, *testFleet, *backend, func(*Termination) *Group) {}, true},
		"for ever": {never, func(t *testing.T, f *testFleet, _ *backend, _ func(*Termination) *Group) { f.pass(t, 100*time.Hour) }, false},
		"until a reload": {never, func(t *testing.T, f *testFleet, _ *backend, apply func(*Termination) *Group) {
			f.pass(t, time.Hour)
			apply(at)
		}, true},
		"with a longer interval": {at, func(t *testing.T, f *testFleet, _ *backend, apply func(*Termination) *Group) {
			apply(&Termination{UnhealthyDraining: time.Hour})
			f.pass(t, 2*time.Minute)
		}, false},
		"and is removed": {at, func(t *testing.T, f *testFleet, _ *backend, _ func(*Termination) *Group) {
			f.apply(t)
			f.pass(t, 2*time.Minute) // of its deregistration delay, which counts now
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, b := newFleet(t), newBackend(t, 200)
			check := rarely()
			check.Protocol, check.Healthy, check.Unhealthy = "http", 1, 1
			apply := func(end *Termination) *Group {
				return f.apply(t, GroupConfig{Name: "app", Protocol: "tcp", Targets: []string{b.address()}, Health: check, Termination: end})["app"]
			}
			g := apply(tt.begins)
			f.await(t, "app "+b.address()+" healthy")
			c, ended := inUse(t, g)
			b.status.Store(503)
			f.check(t, g, b.address())
			tt.then(t, f, b, apply)
			if tt.ends {
				ended()
			}
			want := pool.NotTerminated
			if tt.ends {
				want = pool.Unhealthy
			}
			if got := c.Terminated(); got != want {
				t.Errorf("the connection was terminated for reason %d, want %d", got, want)
			}
			c.Release(false)
		})
	}
}

// As long as clients are sent to unhealthy targets, because there are no others, they
// may stay there.
func TestConnectionsStayWhileTheirGroupFailsOpen(t *testing.T) {
	f, b, other := newFleet(t), newBackend(t, 200), newBackend(t, 503)
	check := rarely()
	check.Protocol, check.Healthy, check.Unhealthy = "http", 1, 1
	g := f.apply(t, GroupConfig{Name: "app", Protocol: "tcp", Targets: []string{b.address(), other.address()}, Health: check, FailOpen: true,
		Termination: &Termination{Unhealthy: true}})["app"]
	f.awaitHealth(t, 2)
	c, ended := inUse(t, g)
	defer c.Release(false)
	b.status.Store(503)
	f.check(t, g, b.address())
	f.pass(t, time.Minute)
	if why := c.Terminated(); why != pool.NotTerminated {
		t.Fatalf("no target is healthy, and the connection was terminated for reason %d", why)
	}
	other.status.Store(200)
	f.check(t, g, other.address())
	ended() // another target is healthy
}

// An operator sees when connections will end.
func TestTheStatusSaysWhenConnectionsEnd(t *testing.T) {
	f, b := newFleet(t), newBackend(t, 503)
	check := rarely()
	check.Protocol, check.Unhealthy = "http", 1
	g := f.apply(t, GroupConfig{Name: "app", Protocol: "tcp", Targets: []string{b.address()}, Health: check,
		Termination: &Termination{UnhealthyDraining: time.Minute}})["app"]
	<-f.health
	if s := g.Targets()[0]; !s.ConnectionsEnd.Equal(s.Since.Add(time.Minute)) {
		t.Errorf("unhealthy since %s, connections end at %s, want a minute later", s.Since, s.ConnectionsEnd)
	}
	f.pass(t, time.Minute)
	if s := g.Targets()[0]; !s.ConnectionsEnd.IsZero() {
		t.Errorf("they have ended, and end at %s", s.ConnectionsEnd)
	}
}
