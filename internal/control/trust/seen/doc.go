// Package seen remembers the certificates of the clients that were admitted.
//
// It answers one question: who would be refused if the trust store became another
// one? So it keeps what it takes to ask as a handshake does: the certificate, what
// came with it, and under which policy. All of that is in a file; memory holds
// about a hundred bytes a certificate. What a handshake has to do for it is one
// look into a map; the rest is done by one goroutine, in the background.
package seen
