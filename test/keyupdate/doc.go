// Package keyupdate holds a running gateway to ending clients that do nothing
// but change their keys.
//
// crypto/tls answers each KeyUpdate of RFC 8446 section 4.6.3 that asks for one
// in the middle of a Read (CVE-2026-32283 and its kin). The Go in use ends such a
// client after 16 of them without data between; what it answers could else fill
// the socket of a client that does not read, beyond every timeout for reading.
package keyupdate
