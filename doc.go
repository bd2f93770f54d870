// Package countersign is the vocabulary of a mutual-TLS load balancer: who a
// client is, how a listener asks for its certificate, why it is refused.
//
// It holds types, constants and their validation. It does no I/O, starts no
// goroutine and imports the standard library alone, so that every other
// package, the management client and a backend can speak it.
package countersign
