package api

import (
	"testing"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream"
	"github.com/google/go-cmp/cmp"
)

type fixedStatus []upstream.GroupStatus

func (s fixedStatus) Status() []upstream.GroupStatus { return s }

func TestTargetsAreShownWithWhatTheyHaveToDo(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	s := Targets{Fleet: fixedStatus{
		{Name: "api", Targets: []upstream.TargetStatus{
			{Address: "10.0.0.1:80", Name: "10.0.0.1:80", Weight: 3, Zone: "a", Share: 1, Status: health.Status{State: health.Healthy, Since: at}, InFlight: 7},
			{Address: "10.0.0.2:80", Name: "dns:api:80", Weight: 1, EjectedUntil: at, Ejections: 2, Status: health.Status{State: health.Healthy, Since: at}},
		}},
		{Name: "web", Targets: []upstream.TargetStatus{{Address: "10.0.0.3:80", Weight: 1, Share: .5, SlowStart: true, Status: health.Status{State: health.Healthy, Since: at}}}},
	}}
	if n := len(s.all("")); n != 3 {
		t.Errorf("%d targets of all groups", n)
	}
	want := []client.Target{
		{TargetGroup: "api", Address: "10.0.0.1:80", Zone: "a", Weight: 3, Share: 1, State: "healthy", Since: at, InFlight: 7},
		{TargetGroup: "api", Address: "10.0.0.2:80", Name: "dns:api:80", Weight: 1, State: "healthy", Since: at, EjectedUntil: &at, Ejections: 2},
	}
	if diff := cmp.Diff(want, s.all("api")); diff != "" {
		t.Error(diff)
	}
}
