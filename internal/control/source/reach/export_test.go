package reach

import "net/netip"

// Public is public, of a text.
func Public(ip string) bool { return public(netip.MustParseAddr(ip)) }
