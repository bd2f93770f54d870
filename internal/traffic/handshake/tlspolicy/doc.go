// Package tlspolicy names sets of TLS versions, cipher suites, key exchanges.
package tlspolicy
