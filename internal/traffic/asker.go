package traffic

import (
	"encoding/binary"
	"net/netip"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/upstream"
)

// asker says for whom group shall pick a target, if that makes a difference
// there. A client is its device, or its certificate: a device that has renewed
// that is the same one still. The caller holds s.standing.
func (s *session) asker(group *upstream.Group) upstream.Asker {
	if group == nil || !group.Personal() {
		return upstream.Asker{}
	}
	from := s.from()
	a := upstream.Asker{Source: from.Addr(), Flow: flow(from, addrPort(s.raw.LocalAddr()))}
	if s.device != nil {
		a.Client = balance.KeyOfString(s.device.Device())
	}
	if a.Client == 0 && s.client.Verified() {
		a.Client = balance.KeyOf(s.client.Identity().Fingerprint[:])
	}
	return a
}

// flow is the key of a connection: of both its ends.
func flow(from, to netip.AddrPort) balance.Key {
	var ends [36]byte
	a, b := from.Addr().As16(), to.Addr().As16()
	copy(ends[:], a[:])
	copy(ends[16:], b[:])
	binary.BigEndian.PutUint16(ends[32:], from.Port())
	binary.BigEndian.PutUint16(ends[34:], to.Port())
	return balance.KeyOf(ends[:])
}
