package http

import (
	"time"

	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/wire/http1"
)

// Forwarded says what becomes of X-Forwarded-For, -Proto and -Port.
type Forwarded string

const (
	ForwardedAppend   Forwarded = "append"   // the client's address is appended to -For; -Proto and -Port are set
	ForwardedPreserve Forwarded = "preserve" // all three pass as the client sent them
	ForwardedRemove   Forwarded = "remove"   // all three are removed
)

// Settings bound the exchanges of a listener. All durations and sizes must be
// set, but for Body, where 0 means any size.
type Settings struct {
	Request   http1.Limits // of a request head, in bytes
	Response  http1.Limits // of a response head, in bytes
	Body      int64        // of a request body, in bytes; 0: any
	Forwarded Forwarded
	Identity  *idheader.Plan // tells the fields that a client may never set

	Headers time.Duration // from the first byte of a request head to its last
	Idle    time.Duration // without a byte from or to the client
	Wait    time.Duration // without a byte from the target (timeouts.response)
}
