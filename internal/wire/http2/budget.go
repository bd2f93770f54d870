package http2

import (
	"time"

	"golang.org/x/net/http2"
)

// A budget is how much a peer may do that costs us something and brings nobody
// anything. Honest work fills it up again, and so does time.
type budget struct {
	left  int
	since time.Time // when it was last filled up
}

const (
	// idleBudget is for frames without effect: PING, SETTINGS, PRIORITY, empty
	// DATA, WINDOW_UPDATE, unknown ones and those on closed streams (CVE-2019-9511
	// to -9518). gRPC sends a PING for each window it measures; some clients send two
	// WINDOW_UPDATEs for each DATA frame.
	idleBudget, idleRate = 2000, 200
	// resetBudget is for requests that are refused, or taken back before there is
	// an answer (CVE-2023-44487). A stream holds its place until its owner has
	// closed it, taken back or not, so this bounds mere effort. What is carried does
	// not fill it up: a request that is taken back may have content.
	resetBudget, resetRate = 1000, 200

	perExchange = 8   // what an exchange that was completed is worth
	perOctets   = 256 // octets of DATA, either way, that are worth one of the idle budget
	// perFrame is what a DATA frame that the peer gets is worth of the idle budget,
	// unless the peer's window made it small (CVE-2019-9511); as Envoy has it
	// (max_inbound_window_update_frames_per_data_frame_sent). gRPC-Go answers each
	// small message with a WINDOW_UPDATE and a PING.
	perFrame = 10
)

// charge takes n from a budget, and ends the connection of a peer that has none
// left. mu is held; only the reader calls it.
func (c *Conn) charge(b *budget, n int) *ConnError {
	if b.left -= n; b.left >= 0 {
		return nil
	}
	completed := c.completed * perExchange
	carried := int(c.flowed/perOctets) + c.framed*perFrame
	c.completed, c.flowed, c.framed = 0, c.flowed%perOctets, 0
	for _, f := range [...]struct {
		*budget
		most, rate, earned int
	}{{&c.idle, idleBudget, idleRate, completed + carried}, {&c.resets, resetBudget, resetRate, completed}} {
		byTime := f.most
		if passed := c.now.Sub(f.since); passed < time.Duration(f.most)*time.Second/time.Duration(f.rate) {
			byTime = int(passed) * f.rate / int(time.Second)
		}
		f.since = c.now
		f.left = min(f.most, f.left+f.earned+byTime)
	}
	if b.left >= 0 {
		return nil
	}
	if b == &c.resets {
		return fault(http2.ErrCodeEnhanceYourCalm, "hundreds of requests were taken back or refused in a short time, with few completed (CVE-2023-44487)")
	}
	return fault(http2.ErrCodeEnhanceYourCalm, "thousands of frames without effect came in a short time")
}
