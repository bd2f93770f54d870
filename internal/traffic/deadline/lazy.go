package deadline

import "time"

// A Lazy remembers which deadline one direction of a socket has. The zero
// value is a socket without one. It is for one goroutine at a time, the one
// that reads or the one that writes.
type Lazy struct {
	armed time.Time     // what the socket has; zero: nothing
	early time.Duration // the wait ends this much after armed; never negative
}

// Arm bounds a wait that begins now and may last d. The socket's deadline D
// then satisfies now+d/2 <= D <= now+d: it never fires late, possibly early,
// which Expired tells apart. set is called only if the deadline already armed
// is outside these bounds, so that a connection kept busy with one timeout is
// set once in d/2. Without a wait to bound (d <= 0) the deadline is removed.
//
// set is the socket's SetReadDeadline or SetWriteDeadline; after an error the
// deadline counts as unknown and the next Arm sets it again.
func (l *Lazy) Arm(set func(time.Time) error, now time.Time, d time.Duration) error {
	if d <= 0 {
		if l.armed.IsZero() {
			return nil
		}
		return l.Set(set, time.Time{})
	}
	if !l.armed.IsZero() {
		if left := l.armed.Sub(now); left <= d && left >= d-d/2 {
			l.early = d - left
			return nil
		}
	}
	return l.Set(set, now.Add(d))
}

// Set arms exactly t; the zero time removes the deadline.
func (l *Lazy) Set(set func(time.Time) error, t time.Time) error {
	l.armed, l.early = t, 0
	if err := set(t); err != nil {
		l.armed = time.Time{}
		return err
	}
	return nil
}

// Expired is asked after a timeout. It reports whether the wait given to the
// last Arm is over; if the deadline came early it arms the exact one, and the
// caller goes on reading or writing where it was. A deadline that nobody armed
// here is expired.
func (l *Lazy) Expired(set func(time.Time) error, now time.Time) (bool, error) {
	until := l.armed.Add(l.early)
	if l.armed.IsZero() || !now.Before(until) {
		return true, nil
	}
	return false, l.Set(set, until)
}
