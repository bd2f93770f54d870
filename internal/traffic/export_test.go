package traffic

import (
	"runtime"

	"countersign.dev/internal/traffic/live"
)

// HoldEnforcement keeps everybody busy who expels clients, until release is
// called: what is refused meanwhile is refused by the check before a request.
func (n *Node) HoldEnforcement() (release func()) {
	held := make(chan struct{})
	for range runtime.GOMAXPROCS(0) {
		busy := make(chan struct{})
		n.enforcer.Suspect(func() []*live.Entry {
			close(busy)
			<-held
			return nil
		})
		<-busy
	}
	return func() { close(held) }
}

// Admitted is how many connections are known to have been admitted.
func (n *Node) Admitted() int { return n.admitted.Len() }
