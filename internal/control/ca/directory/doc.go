// Package directory opens the directory that an authority lives in.
//
//	root.crt root.key         the root: signs issuing authorities, nothing else
//	issuing.crt issuing.key   the first issuing authority: signs devices, clients, servers
//	issuing-2.crt, ...        those that followed it (succession); the last one issues
//	ca.crt                    root and issuing certificates: what a trust store is given
//	crl.pem root-crl.pem      the revocation lists of the issuing authorities, the root
//	ledger.jsonl              what was issued, revoked, listed: the memory (see ledger)
//	.lock .lists.lock         held by whichever process writes the ledger, signs lists
//
// Every file of these is one that openssl reads, but for the ledger. Every change
// is on disk before anybody is told of it: a certificate is in the ledger before
// it is handed out, a list has its number before it is signed. Keys may be encrypted
// or in a token (see holder); the root's may be taken away to a safe place, and is
// brought back for another issuing authority, or when root-crl.pem ends.
package directory
