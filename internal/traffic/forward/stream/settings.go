package stream

import "time"

// Settings are what a listener says of its connections.
type Settings struct {
	// Idle is how long no byte may come from either side.
	Idle time.Duration
	// ResetIdle ends a connection that is idle for longer by resets, not in order.
	ResetIdle bool
	// Lifetime is the longest that a connection lasts; 0: no bound.
	Lifetime time.Duration
	// Hello is how long the beginning of a ClientHello is waited for, where rules
	// ask for its server name; 0: none does.
	Hello time.Duration
}
