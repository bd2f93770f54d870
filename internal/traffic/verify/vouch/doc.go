// Package vouch picks, of the certificates that a client presents, those that an
// anchor vouches for: only they can be on a path to it.
//
// crypto/x509 builds paths from the leaf upwards, with whatever keys a client
// presents, and checks up to a hundred signatures before it gives up: nine
// intermediates of one name and RSA keys of 8192 bits, made by anybody, keep a
// core busy for a long time (CVE-2026-32280 and its kin). Here it is done from
// the anchors downwards: a key is used only after an anchor has vouched for it,
// so that a stranger cannot make us use his own.
package vouch
