package sticky

import (
	"bytes"
	"strconv"
	"time"

	"countersign.dev/internal/wire/http1"
)

// A Cookie is how clients of one purpose carry where they were served.
type Cookie struct {
	Name     string        // a token of RFC 9110 section 5.6.2
	Purpose  string        // what else is sealed with the same Keys does not open
	Duration time.Duration // how long a client is kept, at most MaxAge
	SameSite string        // Lax | Strict | None; "": Lax
	Keys     *Keys
}

// Find returns the value of the cookie among the fields of a request, and
// whether it is so young that the client need not get another one. What is not
// ours, was tampered with or is over is as if it were not there: 0.
func (c *Cookie) Find(fields []http1.Field, now time.Time) (value uint64, young bool) {
	for i := range fields {
		if fields[i].Kind != http1.Cookie { // of HTTP/2 there may be several (RFC 9113 section 8.2.3)
			continue
		}
		for rest := fields[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, semicolon)
			name, text, _ := bytes.Cut(bytes.TrimLeft(pair, " "), equals)
			if string(name) != c.Name {
				continue
			}
			if s, ok := c.Keys.Open(text, c.Purpose, now); ok {
				return s.Value, now.Sub(s.Made) < c.Duration/renewals
			}
		}
	}
	return 0, false
}

var semicolon, equals = []byte(";"), []byte("=")

// renewals is in how many parts of its time a cookie is renewed: one that is used
// lasts on, and most answers need not set it.
const renewals = 10

// Append appends the value of a Set-Cookie field (RFC 6265 section 4.1.1).
// secure: the client came by TLS.
func (c *Cookie) Append(dst []byte, value uint64, now time.Time, secure bool) []byte {
	dst = append(dst, c.Name...)
	dst = append(dst, '=')
	dst = c.Keys.Append(dst, c.Purpose, Seal{Value: value, Made: now, Until: now.Add(c.Duration)})
	dst = append(dst, "; Path=/; Max-Age="...)
	dst = strconv.AppendInt(dst, int64(c.Duration/time.Second), 10)
	dst = append(dst, "; HttpOnly; SameSite="...)
	if c.SameSite == "" {
		dst = append(dst, "Lax"...)
	} else {
		dst = append(dst, c.SameSite...)
	}
	if secure {
		dst = append(dst, "; Secure"...)
	}
	return dst
}
