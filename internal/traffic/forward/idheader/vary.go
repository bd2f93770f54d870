package idheader

import "bytes"

// VaryNeedsStar reports whether a response's Vary value lists a field that the
// client never sent, because a gateway sets it. The response must then say
// `Vary: *`, else a cache in front, which does not see that field, serves one
// client's answer to another (RFC 9440 section 2.4, for the fields of every
// dialect). It does not allocate. A response may have several Vary lines: one
// that needs it is enough.
func VaryNeedsStar(value []byte) bool { return (*Plan)(nil).VaryNeedsStar(value) }

// VaryNeedsStar is the function of that name, for p's own headers too. What is
// merely stripped, X-Forwarded-Proto say, does not tell one client from another.
func (p *Plan) VaryNeedsStar(value []byte) bool {
	for len(value) > 0 {
		token, rest, _ := bytes.Cut(value, []byte(","))
		if name := bytes.Trim(token, " \t"); Stripped(name) || p != nil && p.set.has(name) {
			return true
		}
		value = rest
	}
	return false
}
