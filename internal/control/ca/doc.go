// Package ca keeps a small certificate authority in a directory of PEM files.
//
//	root.crt root.key         the root: signs the issuing authority, nothing else
//	issuing.crt issuing.key   the issuing authority: signs devices, clients, servers
//	ca.crt                    both certificates: what a trust store is given
//	crl.pem root-crl.pem      the revocation lists of the two
//	issued/SERIAL.crt         every certificate, as it was signed
//	ledger.jsonl              what was issued, revoked, listed: the memory (see ledger)
//	.lock                     held by whichever process is changing something
//
// Every file is one that openssl reads. Every change is on disk before anybody
// is told of it: a certificate is in the ledger before it is handed out, a list
// has its number before it is signed. root.key may be taken away to a safe
// place; then only root-crl.pem is no longer made anew.
package ca
