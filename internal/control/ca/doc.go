// Package ca is an authority: it issues certificates, of which it revokes those that
// must not be believed any more.
//
// An Authority is for many callers, also in several processes: a gateway that has the
// directory open sees what the command line does to it. What it has in the directory,
// how that is made, followed by another and how its lists are signed is told in
// directory, founding, succession and lists.
package ca
