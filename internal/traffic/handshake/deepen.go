package handshake

// deepen has the stack of a new goroutine grow at once to the 16 KiB that a handshake
// takes, while there is next to nothing on it. It would grow twice else, in the
// depths of verifying and of arithmetic, and all that is on it be moved and mended.
//
//go:noinline
func deepen() byte {
	var room [9 << 10]byte // more than 8 KiB does not take
	return room[nowhere]
}

// nowhere is in the room, so that there has to be one.
var nowhere int
