// Package naming says how the certificates of devices name them.
package naming
