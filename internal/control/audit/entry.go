package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// An Entry is one line of a trail.
type Entry struct {
	// Sequence counts the lines of a trail from 1.
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Event is requested, before anything is done, then done or failed; or refused.
	Event Event `json:"event"`
	// Request ties the lines about one request together: the sequence of the first.
	Request uint64 `json:"request"`

	Who  Who            `json:"who"`
	From netip.AddrPort `json:"from"`
	// Method, Path and Query are the request's, cut at a kilobyte each.
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query,omitempty"`

	// Status is the answer's, Code that of its problem document; Detail is what
	// came of it in words.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Untold is how many refusals since the line before have none of their own.
	Untold int `json:"untold,omitempty"`

	// Previous is the SHA-256 of the line before with its line feed, in hex;
	// 64 zeros in the first.
	Previous string `json:"previous"`
}

// An Event is what a line says about a request.
type Event string

// The events.
const (
	Requested Event = "requested" // may be done, and is about to be
	Done      Event = "done"
	Failed    Event = "failed"  // was allowed, and had no effect
	Refused   Event = "refused" // was not allowed
)

// Who asked.
type Who struct {
	// Kind is token:local, certificate or nobody.
	Kind string `json:"kind"`
	// Subject and Fingerprint (sha256:HEX) are the certificate's; of somebody who
	// is refused, that of the certificate that was shown.
	Subject     string `json:"subject,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// String is how people are told.
func (w Who) String() string {
	if w.Subject == "" {
		return w.Kind
	}
	return w.Kind + " " + w.Subject
}

// most is how long a text that somebody else chose may be.
const most = 1 << 10

func (e *Entry) cut() {
	for _, s := range []*string{&e.Who.Subject, &e.Method, &e.Path, &e.Query, &e.Detail} {
		if len(*s) > most {
			*s = strings.ToValidUTF8((*s)[:most], "")
		}
	}
}

// A digest is the SHA-256 of a line.
type digest [sha256.Size]byte

func digestOf(line []byte) digest { return sha256.Sum256(line) }

func (d digest) String() string { return hex.EncodeToString(d[:]) }
