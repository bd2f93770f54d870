package snapshot_test

import (
	"testing"

	"countersign.dev/internal/snapshot"
)

func TestListenersAreFoundByNameAndByAddress(t *testing.T) {
	a := &snapshot.Listener{Name: "a", Address: ":1"}
	b := &snapshot.Listener{Name: "b", Address: "127.0.0.1:2"}
	s := &snapshot.Snapshot{Listeners: []*snapshot.Listener{a, b}}
	for _, l := range s.Listeners {
		if s.Listener(l.Name) != l || s.At(l.Address) != l {
			t.Errorf("%s at %s is not found", l.Name, l.Address)
		}
	}
	// Nothing is found for what is merely alike: an unknown listener serves nobody.
	for _, other := range []string{"", "A", "a ", ":01", "127.0.0.1:1"} {
		if s.Listener(other) != nil || s.At(other) != nil {
			t.Errorf("%q is found", other)
		}
	}
}
