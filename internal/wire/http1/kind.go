package http1

// A Kind tells the fields that a proxy treats specially. Everything else is
// Other.
type Kind uint8

// The kinds, in the order of their names.
const (
	Other Kind = iota
	Accept
	Authorization
	Connection
	ContentEncoding
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	KeepAlive
	Location
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Server
	SetCookie
	TE
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	XAmznTraceID
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
)

var kindNames = [...]string{
	Other:              "",
	Accept:             "Accept",
	Authorization:      "Authorization",
	Connection:         "Connection",
	ContentEncoding:    "Content-Encoding",
	ContentLength:      "Content-Length",
	ContentType:        "Content-Type",
	Cookie:             "Cookie",
	Date:               "Date",
	Expect:             "Expect",
	Forwarded:          "Forwarded",
	Host:               "Host",
	KeepAlive:          "Keep-Alive",
	Location:           "Location",
	ProxyAuthenticate:  "Proxy-Authenticate",
	ProxyAuthorization: "Proxy-Authorization",
	ProxyConnection:    "Proxy-Connection",
	Server:             "Server",
	SetCookie:          "Set-Cookie",
	TE:                 "TE",
	Trailer:            "Trailer",
	TransferEncoding:   "Transfer-Encoding",
	Upgrade:            "Upgrade",
	UserAgent:          "User-Agent",
	Vary:               "Vary",
	Via:                "Via",
	XAmznTraceID:       "X-Amzn-Trace-Id",
	XForwardedFor:      "X-Forwarded-For",
	XForwardedHost:     "X-Forwarded-Host",
	XForwardedPort:     "X-Forwarded-Port",
	XForwardedProto:    "X-Forwarded-Proto",
}

// String returns the field's name as it is usually written, "" for Other.
func (k Kind) String() string { return kindNames[k] }

// KindOf returns the kind of the field called name, in whatever case it is
// spelled. Length and one letter leave a single candidate to compare with.
func KindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		return only(name, "te", TE)
	case 3:
		return only(name, "via", Via)
	case 4:
		switch lower[name[0]] {
		case 'h':
			return only(name, "host", Host)
		case 'd':
			return only(name, "date", Date)
		case 'v':
			return only(name, "vary", Vary)
		}
	case 6:
		switch lower[name[0]] {
		case 'a':
			return only(name, "accept", Accept)
		case 'c':
			return only(name, "cookie", Cookie)
		case 'e':
			return only(name, "expect", Expect)
		case 's':
			return only(name, "server", Server)
		}
	case 7:
		switch lower[name[0]] {
		case 't':
			return only(name, "trailer", Trailer)
		case 'u':
			return only(name, "upgrade", Upgrade)
		}
	case 8:
		return only(name, "location", Location)
	case 9:
		return only(name, "forwarded", Forwarded)
	case 10:
		switch lower[name[0]] {
		case 'c':
			return only(name, "connection", Connection)
		case 'k':
			return only(name, "keep-alive", KeepAlive)
		case 's':
			return only(name, "set-cookie", SetCookie)
		case 'u':
			return only(name, "user-agent", UserAgent)
		}
	case 12:
		return only(name, "content-type", ContentType)
	case 13:
		return only(name, "authorization", Authorization)
	case 14:
		return only(name, "content-length", ContentLength)
	case 15:
		switch lower[name[2]] {
		case 'a':
			return only(name, "x-amzn-trace-id", XAmznTraceID)
		case 'f':
			return only(name, "x-forwarded-for", XForwardedFor)
		}
	case 16:
		switch lower[name[12]] {
		case 'd':
			return only(name, "content-encoding", ContentEncoding)
		case 't':
			return only(name, "proxy-connection", ProxyConnection)
		case 'h':
			return only(name, "x-forwarded-host", XForwardedHost)
		case 'p':
			return only(name, "x-forwarded-port", XForwardedPort)
		}
	case 17:
		switch lower[name[0]] {
		case 't':
			return only(name, "transfer-encoding", TransferEncoding)
		case 'x':
			return only(name, "x-forwarded-proto", XForwardedProto)
		}
	case 18:
		return only(name, "proxy-authenticate", ProxyAuthenticate)
	case 19:
		return only(name, "proxy-authorization", ProxyAuthorization)
	}
	return Other
}

func only(name []byte, want string, k Kind) Kind {
	if FoldEqual(name, want) {
		return k
	}
	return Other
}
