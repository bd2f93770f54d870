package http1

// A Field is one field line. Name and Value are slices of the buffer: Name as
// sent, Value without the white space around it.
type Field struct {
	Name, Value []byte
	Kind        Kind
}

// Find returns the first field of that kind, nil if there is none.
func Find(fields []Field, k Kind) *Field {
	for i := range fields {
		if fields[i].Kind == k {
			return &fields[i]
		}
	}
	return nil
}

// appendFields parses the field lines of head from index i on, up to the empty
// line that head is known to end with.
func appendFields(fields []Field, head []byte, i int, lim *Limits) ([]Field, *Error) {
	for end := len(head) - 2; i < end; {
		if len(fields) == lim.Count {
			return fields, tooLarge(statusFields, "more than %d fields", lim.Count)
		}
		start := i
		for tchar[head[i]] {
			i++
		}
		name := head[start:i:i]
		if len(name) == 0 || head[i] != ':' {
			return fields, badName(fields, head[start:], i-start)
		}
		i++
		for head[i] == ' ' || head[i] == '\t' {
			i++
		}
		start = i
		i = valueEnd(head, i)
		if head[i] != '\r' || head[i+1] != '\n' {
			return fields, badOctet(name, head[i])
		}
		stop := i
		for stop > start && (head[stop-1] == ' ' || head[stop-1] == '\t') {
			stop--
		}
		fields = append(fields, Field{Name: name, Value: head[start:stop:stop], Kind: KindOf(name)})
		i += 2
	}
	return fields, nil
}

// badName says what is wrong with a line of which the first n octets are token
// characters, but which is no "name:".
func badName(before []Field, line []byte, n int) *Error {
	switch c := line[n]; {
	case n == 0 && c == ':':
		// CVE-2023-25725: an empty name cut the list of fields short.
		return bad(EmptyHeader, "a field has no name")
	case n == 0 && (c == ' ' || c == '\t') && len(before) == 0:
		return bad(BadHeader, "white space before the first field (RFC 9112 section 2.2)")
	case n == 0 && (c == ' ' || c == '\t'):
		return bad(BadHeader, "the field %s goes on in a second line, which is obsolete (RFC 9112 section 5.2)",
			quote(before[len(before)-1].Name))
	case c == ' ' || c == '\t':
		// CVE-2019-16276.
		return bad(suspicious(line[:n], BadHeader), "white space behind the field name %s, where a colon has to follow (RFC 9112 section 5.1)",
			quote(line[:n]))
	case c == '\r' && line[n+1] == '\n':
		return bad(BadHeader, "the line %s has no colon", quote(line[:n]))
	case c == 0 || c == '\r':
		return bad(BadHeader, "the octet 0x%02x in a field name, behind %s", c, quote(line[:n]))
	default:
		return bad(NonCompliantHeader, "the octet 0x%02x in a field name, behind %s", c, quote(line[:n]))
	}
}

func badOctet(name []byte, c byte) *Error {
	kind := NonCompliantHeader
	if c == 0 || c == '\r' {
		kind = BadHeader
	}
	return bad(kind, "the octet 0x%02x in the value of the field %s", c, quote(name))
}

// suspicious returns SuspiciousHeader for a name that some recipient may take
// for one of the two that decide where the message ends, else kind.
func suspicious(name []byte, kind string) string {
	if looksLike(name, "content-length") || looksLike(name, "transfer-encoding") {
		return SuspiciousHeader
	}
	return kind
}

// looksLike reports whether name becomes want when every punctuation is read
// as a dash, as gateways to CGI and WSGI do with "_" and PHP with ".".
func looksLike(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i, c := range name {
		if l := lower[c]; l != want[i] && (want[i] != '-' || l-'a' < 26 || l-'0' < 10) {
			return false
		}
	}
	return true
}
