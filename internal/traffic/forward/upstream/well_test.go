package upstream

import (
	"net"
	"slices"
	"testing"
)

func TestAGroupIsUnwellUntilATargetIsHealthy(t *testing.T) {
	f := newFleet(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody accepts: the answer to a check never comes
	refusing := refusingAddress(t)
	check := rarely()
	check.Protocol = "http"
	tcp := *check
	tcp.Protocol = "tcp"
	f.apply(t,
		GroupConfig{Name: "silent", Targets: []string{ln.Addr().String()}, Health: check, FailOpen: true},
		GroupConfig{Name: "up", Targets: []string{refusing, ln.Addr().String()}, Health: &tcp},
		GroupConfig{Name: "down", Targets: []string{refusing}, Health: &tcp, FailOpen: true},
		GroupConfig{Name: "unchecked", Targets: []string{refusing}},
	)
	var seen []string
	for range 3 {
		seen = append(seen, <-f.health)
	}
	if !slices.Contains(seen, "up "+ln.Addr().String()+" healthy") {
		t.Fatalf("%q", seen)
	}
	if reasons := f.Unwell([]string{"up", "unchecked"}); reasons != nil {
		t.Errorf("%q, want none", reasons)
	}
	want := []string{`target group "silent": no check of a target has ended yet`, `target group "down" has no healthy target`, `there is no target group "gone"`}
	if got := f.Unwell([]string{"silent", "up", "down", "gone"}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// refusingAddress is one at which nobody listens.
func refusingAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
