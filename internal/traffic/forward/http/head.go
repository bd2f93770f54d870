package http

import (
	"bytes"
	"strconv"
	"time"

	"countersign.dev/internal/wire/http1"
)

// appendRequest appends the head that the target gets: the client's, without
// what concerns the client's connection alone (RFC 9110 section 7.6.1) and
// without anything that claims an identity, then what is true about it.
func (f *Front) appendRequest(dst []byte, x *Exchange, expect bool) []byte {
	q, set := &f.Request, f.set
	dst = append(dst, q.Method...)
	dst = append(dst, ' ')
	dst = append(dst, q.Path...)
	if q.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, q.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if q.Host != nil {
		dst = append(dst, q.Host...)
	} else { // HTTP/1.0 need not say; the address it came to is what it meant
		dst = append(dst, f.conn.LocalAddr().String()...)
	}
	dst = append(dst, '\r', '\n')
	forwardedFor := false
	for i := range q.Fields {
		fl := &q.Fields[i]
		switch fl.Kind {
		case http1.Host, http1.ContentLength, http1.TransferEncoding:
			continue
		case http1.Expect:
			if !expect {
				continue
			}
		case http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedPort:
			if set.Forwarded != ForwardedPreserve {
				forwardedFor = forwardedFor || fl.Kind == http1.XForwardedFor
				continue
			}
		default:
			if set.Identity.Strips(fl.Name) {
				continue
			}
		}
		if q.Hop(fl) {
			continue
		}
		dst = appendField(dst, fl)
	}
	dst = append(dst, x.Identity...)
	if set.Forwarded == ForwardedAppend {
		dst = f.appendForwarded(dst, x, forwardedFor)
	}
	switch {
	case q.Body == http1.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case q.HasContentLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, q.ContentLength, 10)
		dst = append(dst, '\r', '\n')
	}
	if up := f.upgrade(); up != nil {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, up...)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '\r', '\n')
}

// appendForwarded appends X-Forwarded-For with the client's address at its
// end, X-Forwarded-Proto and X-Forwarded-Port.
func (f *Front) appendForwarded(dst []byte, x *Exchange, earlier bool) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	if earlier {
		for i := range f.Request.Fields {
			if fl := &f.Request.Fields[i]; fl.Kind == http1.XForwardedFor && len(fl.Value) > 0 {
				dst = append(dst, fl.Value...)
				dst = append(dst, ',', ' ')
			}
		}
	}
	dst = f.client.Addr().AppendTo(dst)
	dst = append(dst, "\r\nX-Forwarded-Proto: http"...)
	if f.tls {
		dst = append(dst, 's')
	}
	dst = append(dst, "\r\nX-Forwarded-Port: "...)
	dst = strconv.AppendUint(dst, uint64(x.Port), 10)
	return append(dst, '\r', '\n')
}

// upgrade returns the protocol the client asks to switch to when the request
// may carry that wish on. A request with a body may not: where its bytes end
// would be for two parties to agree on. HTTP and TLS itself may not either:
// the target would speak them unverified (h2c smuggling).
func (f *Front) upgrade() []byte {
	q := &f.Request
	if q.Body != http1.NoBody || len(q.UpgradeTo) == 0 || q.Minor == 0 {
		return nil
	}
	for protocol := range bytes.SplitSeq(q.UpgradeTo, []byte{','}) {
		protocol = bytes.TrimSpace(protocol)
		for _, hidden := range [...]string{"h2", "http", "tls"} {
			if len(protocol) >= len(hidden) && http1.FoldEqual(protocol[:len(hidden)], hidden) {
				return nil
			}
		}
	}
	return q.UpgradeTo
}

func appendField(dst []byte, fl *http1.Field) []byte {
	dst = append(dst, fl.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, fl.Value...)
	return append(dst, '\r', '\n')
}

// framing says how the client is told where a response body ends.
type framing uint8

const (
	asIs      framing = iota // no body: Content-Length passes, it describes what a GET would return
	byLength                 // Content-Length
	byChunks                 // Transfer-Encoding: chunked
	byClose                  // the end of the connection
	switching                // 101: the connection becomes something else
)

// appendResponse appends the head that the client gets.
func (f *Front) appendResponse(dst []byte, frame framing, closing bool) []byte {
	p := &f.response
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, p.Reason...)
	dst = append(dst, '\r', '\n')
	dated := false
	for i := range p.Fields {
		fl := &p.Fields[i]
		switch fl.Kind {
		case http1.TransferEncoding:
			continue
		case http1.ContentLength:
			// HEAD and 304 describe what a GET would return; 1xx and 204 may not
			// have the field at all (RFC 9110 section 8.6).
			if frame != asIs || p.Status < 200 || p.Status == 204 {
				continue
			}
		case http1.Date:
			dated = true
		case http1.Vary:
			if f.set.Identity.VaryNeedsStar(fl.Value) {
				dst = append(dst, "Vary: *\r\n"...)
				continue
			}
		}
		if p.Hop(fl) {
			continue
		}
		dst = appendField(dst, fl)
	}
	if !dated && p.Status >= 200 {
		dst = append(dst, "Date: "...)
		dst = append(dst, f.date()...)
		dst = append(dst, '\r', '\n')
	}
	switch frame {
	case byLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, p.ContentLength, 10)
		dst = append(dst, '\r', '\n')
	case byChunks:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case switching:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, p.UpgradeTo...)
		dst = append(dst, '\r', '\n')
	}
	return append(appendConnection(dst, f.Request.Minor, frame, closing, p.Status), '\r', '\n')
}

// appendConnection says whether the connection goes on, where the version's
// default says otherwise (RFC 9112 section 9.3).
func appendConnection(dst []byte, minor int, frame framing, closing bool, status int) []byte {
	switch {
	case frame == switching, status < 200:
	case closing:
		dst = append(dst, "Connection: close\r\n"...)
	case minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

// date returns the current time as RFC 9110 section 5.6.7 writes it.
func (f *Front) date() []byte {
	if now := time.Now(); now.Unix() != f.dateSecond {
		f.dateSecond = now.Unix()
		f.dateText = now.UTC().AppendFormat(f.dateText[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return f.dateText
}
