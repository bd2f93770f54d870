// Package handshake is the TLS side of a listener: it turns an accepted socket
// into a connection whose client has been judged.
//
// The server name that the client sends picks a Policy (what is demanded of
// its certificate) and a certificate to answer with. The decision about the
// client falls in Policy.Admit, called from tls.Config.VerifyConnection, which
// crypto/tls runs on full and on resumed handshakes alike.
//
// A session ticket is sealed under keys of our own and bound to listener,
// policy and trust store generation: where any of them differs, the client
// simply gets a full handshake. A chain of resumptions ends with the lifetime
// of its first handshake.
package handshake
