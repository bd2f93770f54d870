package secure

// records follows where TLS records begin and end in a stream (RFC 8446 section
// 5.1: type, version, length). The zero value is before the first.
type records struct {
	head [5]byte
	have int // bytes of head
	left int // of the content
}

// pass goes on by p.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left, p = r.left-n, p[n:]
			continue
		}
		n := copy(r.head[r.have:], p)
		r.have, p = r.have+n, p[n:]
		if r.have == len(r.head) {
			r.have, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
}

// between reports whether the last record is there as a whole, and nothing more.
func (r *records) between() bool { return r.have == 0 && r.left == 0 }
