package accesslog

import "strconv"

// appendCombined appends Apache's "combined" line:
//
//	%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"
func appendCombined(dst []byte, a *Access, clock *clock) []byte {
	c := a.Connection
	l := line{b: dst, start: len(dst), clock: clock}
	l.address(c.Client.Addr())
	l.word("")
	l.word(c.user())
	l.field()
	l.b = a.Time.UTC().AppendFormat(l.b, "[02/Jan/2006:15:04:05 -0700]")
	l.field()
	l.b = append(l.b, '"')
	if a.method == (span{}) && a.target == (span{}) {
		l.b = append(l.b, '-')
	} else {
		l.b = appendOrDash(l.b, a.text(a.method))
		l.b = appendOrDash(append(l.b, ' '), a.text(a.target))
		l.b = appendProtocol(append(l.b, ' '), a)
	}
	l.b = append(l.b, '"')
	l.status(a.Status)
	l.field()
	l.b = strconv.AppendInt(l.b, a.SentBytes, 10)
	l.quoteText(a.text(a.referer))
	l.quoteText(a.text(a.userAgent))
	return append(l.b, '\n')
}
