// Package crl signs certificate revocation lists (RFC 5280 section 5).
package crl
