package http1

import "bytes"

// trailer takes what in holds of the trailer section: at most one line, since
// what follows its end belongs to the next message.
func (c *Chunks) trailer(in []byte) (n int, e *Error) {
	n = len(in)
	if lf := bytes.IndexByte(in, '\n'); lf >= 0 {
		n = lf + 1
	}
	lim := c.Limits
	lim.setDefaults()
	c.section = append(c.section, in[:n]...)
	start := c.scan.line
	end, e := c.scan.next(c.section, lim.Field, statusFields, &lim)
	if e != nil {
		return 0, e
	}
	if end-start != 2 {
		return n, nil
	}
	fields, e := appendFields(c.fields[:0], c.section, 0, &lim)
	if e != nil {
		return 0, e
	}
	c.fields = fields[:0]
	for _, f := range fields {
		if mayTrail(&f) {
			c.fields = append(c.fields, f)
		}
	}
	c.dropped = len(fields) - len(c.fields)
	c.state = atEnd
	return n, nil
}

// Trailers returns the trailer fields that may be used, valid once Next has
// said done and until Reset. Those that have no business in a trailer section
// are missing; Dropped counts them. What the caller trusts no peer to say has
// to be removed as from the head.
func (c *Chunks) Trailers() []Field { return c.fields }

// Dropped returns how many trailer fields were left out.
func (c *Chunks) Dropped() int { return c.dropped }

// mayTrail reports whether f may stand in a trailer section. Not what frames,
// routes, modifies or authenticates a message, nor what says how to process
// its content: that is decided before the content is read (RFC 9110 section
// 6.5.1, with the list of RFC 7230 section 4.1.2).
func mayTrail(f *Field) bool {
	if f.Kind != Other {
		return false
	}
	for _, name := range [...]string{
		"accept-charset", "accept-encoding", "accept-language", "accept-ranges",
		"age", "allow", "cache-control", "clear-site-data", "content-language", "content-location",
		"content-range", "content-security-policy", "expires", "from", "http2-settings",
		"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
		"max-forwards", "origin", "pragma", "range", "referer", "retry-after",
		"sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key",
		"sec-websocket-protocol", "sec-websocket-version", "strict-transport-security",
		"warning", "www-authenticate", "x-http-method-override", "x-real-ip",
	} {
		if FoldEqual(f.Name, name) {
			return false
		}
	}
	return suspicious(f.Name, "") == ""
}
