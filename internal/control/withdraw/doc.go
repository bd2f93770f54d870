// Package withdraw puts the certificates of devices that were cut off on their
// authority's revocation list.
//
// The registry says which credentials are revoked, and a listener with devices:
// enforce asks it. Everybody else asks the authority: by its list, or by OCSP. So
// whoever keeps an authority follows the registry's change log and has revoked
// there what is revoked here. It may be done twice, and by several nodes; it is
// never forgotten: the place in the log is kept, and moves on only behind what
// was done.
package withdraw
