package traffic

import (
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/listen/parking"
)

// silence is after how long without a byte a connection is parked.
const silence = time.Second

// A stay is a session's place in the parking lot. The lock is held while a
// place is taken: whoever is woken at once waits until it is known.
type stay struct {
	mu   sync.Mutex
	spot *parking.Spot // the last one taken
}

// await waits for the next request. Silent means that the session has been
// parked: the caller has to leave everything of it alone.
func (s *session) await() http.Arrival {
	set := &s.under().Exchange
	quiet := min(s.node.silence, set.Idle)
	came := s.exchanges.Await(set, quiet)
	if came == http.Silent && quiet < set.Idle {
		if s.park(time.Now().Add(set.Idle - quiet)) {
			return http.Silent
		}
		// No place: a goroutine waits after all.
		came = s.exchanges.Await(set, set.Idle-quiet)
	}
	if came == http.Silent { // idle for too long
		s.front.Interrupt()
		return s.exchanges.Await(set, quiet)
	}
	return came
}

// park lets the session rest until there is something to read, the connection
// has been idle for too long, or the node calls.
func (s *session) park(until time.Time) bool {
	if s.node.lot == nil {
		return false
	}
	s.stay.mu.Lock()
	defer s.stay.mu.Unlock()
	s.exchanges.Rest()
	s.crew.dismiss()
	spot, err := s.node.lot.Park(s.raw, until, s.woken)
	if err != nil {
		return false
	}
	s.stay.spot = spot
	if s.front.Closing() { // the node called before there was a place to call to
		s.node.lot.Call(spot)
	}
	return true
}

// woken goes on with the session, on a goroutine of its own.
func (s *session) woken(why parking.Reason) {
	s.stay.mu.Lock() // until park is through
	s.stay.mu.Unlock()
	s.live(func() {
		if why == parking.Expired {
			s.front.Interrupt()
		}
		s.serve()
	})
}

// interrupt ends the session as soon as no exchange is under way.
func (s *session) interrupt() {
	s.front.Interrupt()
	s.stay.mu.Lock()
	defer s.stay.mu.Unlock()
	if s.stay.spot != nil {
		s.node.lot.Call(s.stay.spot)
	}
}
