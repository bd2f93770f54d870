// Package claim reads what devices are known by before they have a certificate: the
// secret that is printed on one, the key that is in it.
package claim
