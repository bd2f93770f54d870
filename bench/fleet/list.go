package fleet

import (
	"fmt"
	"io"

	"countersign.dev"
)

// Device is the id of the device with that number: an address of its own for each
// below 2^32, spread over all that there are, so that neighbors in a list are none
// in an index.
func Device(n int) string {
	x := uint64(n+1) * 0x9e3779b97f4a7c15 >> 16
	return fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", byte(x>>40), byte(x>>32), byte(x>>24), byte(x>>16), byte(x>>8), byte(x))
}

// Connecting is how many devices at the beginning of the list are active: the
// clients of the bench are among them.
const Connecting = 100

// Sites and Models are how many values the labels site and model have.
const (
	Sites  = 100
	Models = 7
)

// state spreads the others over three.
func state(n int) countersign.State {
	if n < Connecting {
		return countersign.DeviceActive
	}
	return []countersign.State{countersign.DeviceProvisioned, countersign.DeviceReady, countersign.DeviceActive}[n%3]
}

// List returns the first n devices as CSV, made while it is read.
func List(n int) io.Reader { return &list{n: n, state: state, rest: []byte(columns)} }

// Ready is List with devices that have not fetched their certificates yet.
func Ready(n int) io.Reader {
	return &list{n: n, state: func(int) countersign.State { return countersign.DeviceReady }, rest: []byte(columns)}
}

const columns = "id,state,label.site,label.model\n"

type list struct {
	next, n int
	state   func(int) countersign.State
	rest    []byte
}

func (l *list) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.next == l.n {
			return 0, io.EOF
		}
		l.rest = fmt.Appendf(l.rest[:0], "%s,%s,site-%d,model-%d\n", Device(l.next), l.state(l.next), l.next%Sites, l.next%Models)
		l.next++
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
