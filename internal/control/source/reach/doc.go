// Package reach decides whom the gateway asks because a client's certificate says so.
//
// A certificate names URLs: those of revocation lists, of OCSP responders. To ask
// them blindly would have whoever writes certificates, or answers for a name in
// the DNS, send requests from within our network (server-side request forgery).
// So the host has to be on a list, and an address that is not public has to be
// on it itself, which is held against the address that is in fact connected to.
package reach
