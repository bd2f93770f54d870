package reach

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// Hosts are those that may be asked. The zero value is nobody. It is safe for
// concurrent use.
type Hosts struct {
	names    map[string]bool // in lower case
	below    []string        // ".example.com", of *.example.com
	prefixes []netip.Prefix
	local    bool // localhost is listed
}

// New returns the hosts of revocation.hosts: host names, *. before one, IP
// addresses and prefixes.
func New(entries []string) *Hosts {
	h := &Hosts{names: map[string]bool{}}
	for _, e := range entries {
		e = strings.ToLower(e)
		if prefix, err := netip.ParsePrefix(e); err == nil {
			h.prefixes = append(h.prefixes, prefix)
		} else if ip, err := netip.ParseAddr(e); err == nil {
			ip = ip.Unmap()
			h.prefixes = append(h.prefixes, netip.PrefixFrom(ip, ip.BitLen()))
		} else if base, wild := strings.CutPrefix(e, "*"); wild {
			h.below = append(h.below, base)
		} else {
			h.names[e] = true
			h.local = h.local || e == "localhost"
		}
	}
	return h
}

// With returns h and others together.
func (h *Hosts) With(others *Hosts) *Hosts {
	all := &Hosts{
		names: maps.Clone(h.names), local: h.local || others.local,
		below:    slices.Concat(h.below, others.below),
		prefixes: slices.Concat(h.prefixes, others.prefixes),
	}
	maps.Copy(all.names, others.names)
	return all
}

// maxURL bounds what a certificate may name.
const maxURL = 2048

// Check returns why a URL of a certificate may not be asked; nil: it may.
func (h *Hosts) Check(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("it has %d bytes; want at most %d", len(raw), maxURL)
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] > '~' {
			return fmt.Errorf("it has the byte %#02x, which no URL has", raw[i])
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("it begins with %q; want http:// or https://", u.Scheme+":")
	case u.User != nil:
		return fmt.Errorf("it has a user name")
	case u.Hostname() == "":
		return fmt.Errorf("it names no host")
	case !h.listed(u.Hostname()):
		return fmt.Errorf("revocation.hosts does not list %s", u.Hostname())
	}
	return nil
}

func (h *Hosts) listed(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return h.contains(ip)
	}
	if h.names[host] {
		return true
	}
	for _, b := range h.below {
		if len(host) > len(b) && strings.HasSuffix(host, b) {
			return true
		}
	}
	return false
}

func (h *Hosts) contains(ip netip.Addr) bool {
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	for _, p := range h.prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return h.local && ip.IsLoopback()
}

// DialContext is net.Dialer's for those addresses alone that may be reached.
func (h *Hosts) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: h.control}
	return d.DialContext(ctx, network, address)
}

// control sees the very address that is about to be connected to: between a
// look-up of ours and one of the dialer's the answer could change.
func (h *Hosts) control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s %s is no address that could be checked", network, address)
	}
	if ip := to.Addr(); !h.contains(ip) && !public(ip) {
		return fmt.Errorf("%s is not a public address, and a certificate named its host: list it in revocation.hosts if it is meant", ip)
	}
	return nil
}

// inner are networks that netip has no word for (RFC 6890 and its registries).
var inner = func() (all []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8",      // this network
		"100.64.0.0/10",  // shared address space: carriers, some clouds' metadata
		"192.0.0.0/24",   // protocol assignments
		"198.18.0.0/15",  // benchmarks
		"240.0.0.0/4",    // reserved, with the broadcast address
		"::/96",          // IPv4-compatible
		"64:ff9b:1::/48", // local translation to IPv4
		"100::/64",       // discard
		"2001::/23",      // protocol assignments, Teredo among them
		"fec0::/10",      // site-local
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// public reports whether an address is somebody's on the Internet.
func public(ip netip.Addr) bool {
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	b := ip.As16()
	switch { // an IPv4 address in another form
	case nat64.Contains(ip):
		return public(netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(ip):
		return public(netip.AddrFrom4([4]byte(b[2:6])))
	}
	for _, p := range inner {
		if p.Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}
