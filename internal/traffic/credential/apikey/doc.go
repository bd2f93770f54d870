// Package apikey is the credential that is a text which only its holder knows.
//
// The file of keys has digests, not keys: whoever reads it can show none.
package apikey
