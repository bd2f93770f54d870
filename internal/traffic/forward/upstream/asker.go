package upstream

import (
	"net/netip"

	"countersign.dev/internal/traffic/forward/balance"
)

// An Asker is for whom a target is picked, as far as the choice may depend on
// it: by algorithm hash, and by stickiness. The zero value is nobody in
// particular. Nothing of it is kept.
type Asker struct {
	Client balance.Key // of the verified client: its device's id or its certificate's fingerprint; 0: none
	Source netip.Addr  // of the client
	Flow   balance.Key // of the connection: both its ends; 0: none
	Header []byte      // the value of the field that Group.HashedHeader names; nil: it is not there
	Cookie uint64      // the target that the group's cookie names, as Target.Mark; 0: none

	Gone <-chan struct{} // closed when nobody waits for a target any more; nil: never
	Peer Peer            // looked at beside, while a place is waited for; nil: nobody is

	full bool // where it is at home there is no place
}

// A Peer waits for an answer at the other end of a connection that nobody reads
// meanwhile.
type Peer interface {
	// Left reports whether it has ended its side of the connection, or all of it. It
	// does not wait.
	Left() bool
}
