package config

import (
	"testing"
	"time"
)

// What is left out has other defaults where bytes are passed on.
func TestStreamsHaveDefaultsOfTheirOwn(t *testing.T) {
	c, faults := Load("testdata/streams.good.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if got := c.Listeners[0].Timeouts.Idle; got != 350*time.Second {
		t.Errorf("idle is %s, want 350s", got)
	}
	if got := c.Listeners[1].Timeouts.Idle; got != time.Hour {
		t.Errorf("idle is %s, want what is written", got)
	}
	if got := *c.TargetGroups[0].ConnectionTermination; got != (ConnectionTermination{Unhealthy: true}) {
		t.Errorf("connection_termination is %+v, want unhealthy alone", got)
	}
	if got := c.TargetGroups[1].ConnectionTermination; got == nil || *got != (ConnectionTermination{Deregistration: true, Unhealthy: true}) {
		t.Errorf("connection_termination is %+v, want both", got)
	}
	if got := *c.TargetGroups[2].ConnectionTermination; got != (ConnectionTermination{Deregistration: true, UnhealthyDrainingInterval: 5 * time.Minute}) {
		t.Errorf("connection_termination is %+v, want deregistration and 5m", got)
	}
	if got := c.TargetGroups[0].HealthCheck.Protocol; got != "tcp" {
		t.Errorf("the health check speaks %s, want tcp", got)
	}
}
