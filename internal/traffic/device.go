package traffic

import (
	"context"
	"time"

	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/live"
)

// Which device a client is. What is known of devices may change without a new
// snapshot: requests see it at once, and live connections are told of it.

// registryWait is how long a connection waits for what is not known of its device.
const registryWait = 2 * time.Second

// A belonging is what a connection has to do with a device.
type belonging struct {
	devices.Membership
	described int // of the identity, without the device
}

// belong makes the client that of the device which its certificate names, and
// appends to the identity what targets are told of it.
func (s *session) belong() {
	if s.parted || s.device == nil && s.listener.Devices == nil {
		return
	}
	if s.device == nil {
		s.device = &belonging{}
	}
	s.device.Enter(s.node.devices, s.listener.Devices, s.client)
	s.device.described = len(s.identity)
	s.stands()
}

// stands returns what the client's device may have now. Nothing is allocated
// while that does not change.
func (s *session) stands() devices.Standing {
	d := s.device
	if d == nil {
		return devices.Standing{}
	}
	standing, fresh := d.Standing()
	if fresh && s.denial == nil && d.Rule().Annotates() {
		s.identity, s.denial = s.listener.Identity.Device(s.identity[:d.described:d.described], d.Device(), standing.Word())
	}
	return standing
}

// named is the id of the client's device; "": it is none.
func (s *session) named() string {
	if s.device == nil {
		return ""
	}
	return s.device.Device()
}

// saw notes a request.
func (s *session) saw(now time.Time) {
	if s.device != nil {
		s.device.Saw(now, s.connection.Client.Addr())
	}
}

func (s *session) pending() *devices.Record {
	if s.device == nil {
		return nil
	}
	return s.device.Pending()
}

// learn waits for what is not known yet of a client's device, a while at most.
func (n *Node) learn(r *devices.Record) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, registryWait)
	defer cancel()
	n.devices.Await(ctx, r)
}

// meet is called when the client is about to be let in.
func (s *session) meet() {
	if s.device != nil {
		s.node.learn(s.device.Pending())
		s.device.Came()
	}
}

// parts is called when the connection has ended.
func (s *session) parts() {
	s.standing.Lock()
	defer s.standing.Unlock()
	if s.parted = true; s.device != nil {
		s.device.Leave()
	}
}

// SuspectDevices has the clients asked again, in the background, that are one of
// the devices, because what is known of these may be something else now.
func (n *Node) SuspectDevices(ids []string) {
	n.enforcer.Suspect(func() (all []*live.Entry) {
		for _, id := range ids {
			all = n.admitted.Of(all, id)
		}
		return all
	})
}
