// Package turns lets only a few of a listener's handshakes compute at a time.
//
// A fleet that comes back after an outage brings thousands of handshakes at once,
// each a fifth of a millisecond of arithmetic. Left to the scheduler they stand
// before every established connection that has something to do. So a handshake
// computes only while it has a turn. It takes one when the client's bytes are
// there, and gives it back while it waits for more: who is silent or slow holds
// none. First come, first served; handshakes that have begun go first, since the
// memory that they hold is needed again.
//
// A few hold nobody up, and to wait costs more than it saves: as long as only a few
// are under way, each has its turn when it likes.
//
// A turn that becomes free is not handed over at once, but by way of a Bell.
package turns
