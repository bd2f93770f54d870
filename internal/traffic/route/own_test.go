package route

import (
	"testing"

	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/wire/http1"
)

// Paths of the node's own come first, as they were sent: what is spelled in another
// way is the target's.
func TestThePathsOfTheNodeComeFirst(t *testing.T) {
	exact, below, deeper, target := Action{Enrolls: true}, Action{Public: true}, Action{Enrolls: true, Public: true}, Action{Forward: &upstream.Group{}}
	table := &Table{Default: target, Own: map[string]Action{"/initialize": exact, "/.well-known/est/": below, "/.well-known/est/cacerts": deeper}}
	for path, want := range map[string]Action{
		"/initialize": exact, "/initialize/": target, "/initializ": target, "/INITIALIZE": target, "/x/initialize": target, "//initialize": target,
		"/.well-known/est/": below, "/.well-known/est/a": below, "/.well-known/est/a/b": below, "/.well-known/est/cacerts": deeper,
		"/.well-known/est/cacerts/": below, "/.well-known/est": target, "/.well-known/%65st/a": target, "/": target, "*": target, "": target,
	} {
		if got, denial := table.Match(&condition.Question{Request: &http1.Request{Path: []byte(path)}}); denial != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", path, got, denial, want)
		}
	}
	q := &http1.Request{Path: []byte("/a/rather/long/path/that/is/the/target's")}
	if n := testing.AllocsPerRun(100, func() { table.Match(&condition.Question{Request: q}) }); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}
