package route_test

import (
	"testing"

	"countersign.dev"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/wire/http1"
)

func TestTheDefaultTakesEveryRequest(t *testing.T) {
	want := route.Action{Forward: new(upstream.Group), Metrics: new(telemetry.GroupMetrics)}
	table := &route.Table{Default: want}
	for _, path := range []string{"/", "/a/b", "*", ""} {
		got, denial := table.Match(&condition.Question{Request: &http1.Request{Path: []byte(path)}})
		if denial != nil || got != want {
			t.Errorf("%q: %v, %v; want the default", path, got, denial)
		}
	}
}

// Deny when unsure: a table without anything takes nothing.
func TestAnEmptyTableTakesNothing(t *testing.T) {
	got, denial := new(route.Table).Match(&condition.Question{Request: &http1.Request{Path: []byte("/x")}})
	if denial == nil || denial.Stage != countersign.StageRoute || denial.Code != countersign.NoRoute || got != (route.Action{}) {
		t.Errorf("%v, %v; want NoRoute", got, denial)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	table := &route.Table{Default: route.Action{Forward: new(upstream.Group)}}
	request := &http1.Request{Path: []byte("/x")}
	if n := testing.AllocsPerRun(100, func() { table.Match(&condition.Question{Request: request}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
