package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"countersign.dev/internal/config/strictyaml"
)

// rules are what is:"..." says in the tags of Config.
type rules struct {
	dir   string   // of the configuration file
	files []string // met so far that are to be read
}

func (r *rules) table() map[string]strictyaml.Rule {
	return map[string]strictyaml.Rule{
		"name":           {Expected: "a name of letters, digits, - _ and ., at most 64", Check: name},
		"file":           {Expected: "a file", Check: r.file},
		"source":         {Expected: sourceForms, Check: r.source},
		"store":          {Expected: "sqlite, postgres://USER@HOST:5432/DATABASE, or file:PATH with such a URL in it", Check: r.store, Secret: true},
		"endpoint":       {Expected: "an https:// URL without a path", Check: endpoint},
		"plain URL":      {Expected: "an http:// URL without a path", Check: plainURL},
		"responder":      {Expected: "an http:// or https:// URL", Check: responder},
		"directory":      {Expected: "a directory", Check: r.directory},
		"output":         {Expected: "a file, or - for standard output", Check: r.output},
		"address":        {Expected: "an IP address with a port, such as :8443 or 127.0.0.1:8443", Check: address},
		"admin address":  {Expected: "an IP address with a port, or off", Check: adminAddress},
		"target":         {Expected: "a host with a port, such as 10.0.0.7:8080", Check: target},
		"hash key":       {Expected: "client, source_ip, flow or header:NAME", Check: hashKey},
		"alpn":           {Expected: "the name of a protocol, such as h2", Check: alpn},
		"reachable host": {Expected: "a host name, *. before one, or an IP address or prefix", Check: reachableHost},
		"network":        {Expected: "an IP address or a network, such as 10.0.0.0/8", Check: network},
		"certified name": {Expected: "a host name or an IP address, such as api.internal", Check: certifiedName},
		"server name":    {Expected: "a host name, or *. before one", Check: serverName},
		"header name":    {Expected: "a header name, such as X-Client-Info", Check: headerName},
		"token":          {Expected: "a word of letters, digits and punctuation (RFC 9110 section 5.6.2)", Check: tokenWord},
		"pattern":        {Expected: "a text, * in it for any text, or regex: with a regular expression", Check: pattern},
		"host pattern":   {Expected: "a host such as www.example.com or *.example.com, or regex: with a regular expression", Check: hostPattern},
		"path pattern":   {Expected: "a path such as /admin/*, or regex: with a regular expression", Check: pathPattern},
		"method":         {Expected: "a method such as GET", Check: method},
		"field name":     {Expected: "the name of a header field", Check: fieldName},
		"media type":     {Expected: "a media type such as text/plain", Check: mediaType},
		"health path":    {Expected: "a path, such as /healthz", Check: healthPath},
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$`)

func name(s string) (clean, hint string, ok bool) { return s, "", nameForm.MatchString(s) }

// file resolves the path of a file that is to be read.
func (r *rules) file(s string) (clean, hint string, ok bool) {
	switch scheme, _, isURL := strings.Cut(s, "://"); {
	case isURL && (scheme == "https" || scheme == "s3"):
		return "", scheme + ":// is for CA bundles and revocation lists: fetch it into a file, which is read again when it changes", false
	case isURL:
		return "", "write the path alone", false
	}
	clean = r.resolve(s)
	r.files = append(r.files, clean)
	return clean, "", true
}

// directory resolves the path of a directory that is to be written to.
func (r *rules) directory(s string) (clean, hint string, ok bool) {
	if strings.Contains(s, "://") {
		return "", "write the path alone", false
	}
	return r.resolve(s), "", true
}

// output resolves the path of a file that is to be written.
func (r *rules) output(s string) (clean, hint string, ok bool) {
	if s == "-" {
		return s, "", true
	}
	return r.resolve(s), "", true
}

func (r *rules) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.dir, path)
}

// address normalizes HOST:PORT of a socket to listen at.
func address(s string) (clean, hint string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil && strings.Count(s, ":") > 1:
		return "", "an IPv6 address is written in [], with the port behind", false
	case err != nil && isPort(s):
		return "", "a colon before the port, in quotes, is every address: \":" + s + "\"", false
	case err != nil:
		return "", "the port is missing", false
	case host == "localhost":
		return "", "write 127.0.0.1 or [::1]", false
	case host == "*":
		return "", "nothing before the colon is every address", false
	case !isPort(port) && port != "0":
		return "", "a port is a number from 1 to 65535, or 0 for any free one", false
	case host == "":
		return s, "", true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", "the host is not an IP address", false
	}
	return net.JoinHostPort(ip.Unmap().String(), port), "", true
}

// alpn takes any name of RFC 7301 section 3.1 that can be read.
func alpn(s string) (clean, hint string, ok bool) {
	unreadable := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case strings.ContainsFunc(s, unreadable):
		return "", "names are printable ASCII without blanks", false
	case len(s) > 255:
		return "", "a name has 255 bytes at most", false
	}
	return s, "", s != ""
}

func adminAddress(s string) (clean, hint string, ok bool) {
	if s == "off" {
		return "", "", true
	}
	return address(s)
}

// splitAddress takes apart what address made. The host is not valid where it
// stands for every address of the machine: "" does, and [::] takes IPv4 as well.
func splitAddress(s string) (host netip.Addr, port int, ok bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return netip.Addr{}, 0, false
	}
	port, err = strconv.Atoi(p)
	if host, _ = netip.ParseAddr(h); host == netip.IPv6Unspecified() {
		host = netip.Addr{}
	}
	return host, port, err == nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// reachableHost normalizes what says whom certificates may have asked.
func reachableHost(s string) (clean, hint string, ok bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if prefix != prefix.Masked() {
			return "", "the prefix is " + prefix.Masked().String(), false
		}
		return s, "", true
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return ip.Unmap().String(), "", true
	}
	switch {
	case strings.Contains(s, "/"):
		return "", "write the host alone: http:// and https:// are asked alike", false
	case strings.Contains(s, ":"):
		return "", "write the host alone, for every port", false
	case s == "*":
		return "", "anybody could be asked, on account of what a certificate says", false
	}
	return serverName(s)
}

// network normalizes an IP address or prefix to a prefix.
func network(s string) (clean, hint string, ok bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		switch {
		case prefix != prefix.Masked():
			return "", "the network is " + prefix.Masked().String() + ", a single address has no length", false
		case prefix.Addr().Is4In6():
			return "", "write IPv4 as IPv4", false
		}
		return s, "", true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return "", "", false
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()).String(), "", true
}

// target normalizes HOST:PORT of a backend.
func target(s string) (clean, hint string, ok bool) {
	if clean, hint, ok, isName := resolvedName(s); isName {
		return clean, hint, ok
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case strings.Contains(s, "://"):
		return "", "write host and port alone; the group's protocol says how to speak", false
	case err != nil && strings.Count(s, ":") > 1:
		return "", "an IPv6 address is written in [], with the port behind", false
	case err != nil && isPort(s):
		return "", "the host is missing, as in 127.0.0.1:" + s, false
	case err != nil:
		return "", "the port is missing", false
	case !isPort(port):
		return "", "a port is a number from 1 to 65535", false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(ip.Unmap().String(), port), "", true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !isHostname(host) {
		return "", "the host is neither a name nor an IP address", false
	}
	return net.JoinHostPort(host, port), "", true
}

// serverName folds a name as TLS clients ask for it (RFC 6066 section 3).
func serverName(s string) (clean, hint string, ok bool) {
	clean = strings.ToLower(strings.TrimSuffix(s, "."))
	base, wild := strings.CutPrefix(clean, "*.")
	_, notIP := netip.ParseAddr(strings.Trim(clean, "[]"))
	switch {
	case notIP == nil:
		return "", "clients do not ask for addresses by name; the listener's own client_auth is for those", false
	case clean == "*":
		return "", "the listener's own client_auth is for every other name", false
	case strings.ContainsFunc(clean, func(r rune) bool { return r > 127 }):
		return "", "write an international name as clients send it: xn--...", false
	case strings.Contains(clean, ":"):
		return "", "a name has no port here", false
	case !wild && strings.Contains(clean, "*"):
		return "", "* is the whole first label: *.example.com", false
	}
	return clean, "", isHostname(base)
}

var label = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// isHostname reports whether s is a DNS name in lower case (RFC 1123 section
// 2.1; underscores are in use).
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return true
}

// tokenForm is a token, RFC 9110 section 5.6.2.
var tokenForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")

// tokenWord is a token, or two with a slash, as a media type.
func tokenWord(s string) (clean, hint string, ok bool) {
	first, second, slash := strings.Cut(s, "/")
	return s, "", tokenForm.MatchString(first) && (!slash || tokenForm.MatchString(second))
}

// reserved are the header names that a message cannot do without, or that do not
// reach the backend: framing, routing, hop by hop (RFC 9110 section 7.6.1).
var reserved = []string{
	"connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
	"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

func headerName(s string) (clean, hint string, ok bool) {
	fold := foldHeader(s)
	switch {
	case !tokenForm.MatchString(s):
		return "", "letters, digits and - are best", false
	case slices.Contains(reserved, fold):
		return "", s + " belongs to the connection or to the message itself", false
	case strings.HasPrefix(fold, "x-forwarded-") && slices.Contains([]string{"for", "proto", "port"}, fold[len("x-forwarded-"):]):
		return "", "forwarded of the listener is about " + s, false
	}
	return s, "", true
}

// foldHeader returns a header name as careless backends compare it: CGI and its
// heirs take all punctuation for the same.
func foldHeader(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
}

func healthPath(s string) (clean, hint string, ok bool) {
	outside := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }
	switch {
	case !strings.HasPrefix(s, "/"):
		return "", "it begins with /", false
	case strings.ContainsFunc(s, outside):
		return "", "blanks, # and letters beyond ASCII are written as %XX", false
	}
	return s, "", true
}

func quotedList(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = quoted(w)
	}
	return strings.Join(q, ", ")
}
