package http1

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// ErrIncomplete says that the buffer ends before the message head does. Parse
// again with the same octets and more behind them.
var ErrIncomplete = errors.New("the message head is not complete yet")

// Kinds of errors, and of requests that are accepted but odd, in the words of
// AWS's access log ("classification_reason", Application Load Balancer user
// guide, "Access logs").
const (
	AmbiguousURI                       = "AmbiguousUri"
	BadContentLength                   = "BadContentLength"
	BadHeader                          = "BadHeader"
	BadMethod                          = "BadMethod"
	BadTransferEncoding                = "BadTransferEncoding"
	BadURI                             = "BadUri"
	BadVersion                         = "BadVersion"
	BothTeClPresent                    = "BothTeClPresent"
	DuplicateContentLength             = "DuplicateContentLength"
	EmptyHeader                        = "EmptyHeader"
	GetHeadZeroContentLength           = "GetHeadZeroContentLength"
	MultipleContentLength              = "MultipleContentLength"
	MultipleTransferEncodingChunked    = "MultipleTransferEncodingChunked"
	NonCompliantHeader                 = "NonCompliantHeader"
	NonCompliantVersion                = "NonCompliantVersion"
	SpaceInURI                         = "SpaceInUri"
	SuspiciousHeader                   = "SuspiciousHeader"
	UndefinedContentLengthSemantics    = "UndefinedContentLengthSemantics"
	UndefinedTransferEncodingSemantics = "UndefinedTransferEncodingSemantics"
)

// Kinds of errors for which AWS has no word.
const (
	BadHost   = "BadHost"   // Host missing, repeated, malformed, or not the authority of the target
	BadExpect = "BadExpect" // an expectation other than 100-continue
	BadStatus = "BadStatus" // the status line of a response
	TooLarge  = "TooLarge"  // over one of the Limits
)

// Classification returns AWS's class for one of the kinds above: "Acceptable",
// "Ambiguous" or "Severe" (same source), and "-" for a kind of which AWS has no
// opinion, the empty one included.
func Classification(kind string) string {
	switch kind {
	case GetHeadZeroContentLength, NonCompliantHeader, NonCompliantVersion, SpaceInURI:
		return "Acceptable"
	case AmbiguousURI, BothTeClPresent, DuplicateContentLength, EmptyHeader, SuspiciousHeader,
		UndefinedContentLengthSemantics, UndefinedTransferEncodingSemantics:
		return "Ambiguous"
	case BadContentLength, BadHeader, BadMethod, BadTransferEncoding, BadURI, BadVersion,
		MultipleContentLength, MultipleTransferEncodingChunked:
		return "Severe"
	}
	return "-"
}

// An Error is a message that breaks the grammar or a limit. The connection on
// which it arrived cannot be used any further.
type Error struct {
	Status int    // what to answer: 400, 414, 417, 431, 501, 505; 502 for a response
	Kind   string // one of the kinds above
	Reason string // in words; what is quoted from the message is escaped and short
}

// Error returns the reason with its kind.
func (e *Error) Error() string { return e.Kind + ": " + e.Reason }

// bad makes the Error for a request that has to be answered with 400.
func bad(kind, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Kind: kind, Reason: fmt.Sprintf(format, args...)}
}

// as changes the status to answer with.
func (e *Error) as(status int) *Error {
	e.Status = status
	return e
}

// quote returns b as a Go string literal in ASCII, cut after 64 octets.
func quote(b []byte) string {
	const most = 64
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
