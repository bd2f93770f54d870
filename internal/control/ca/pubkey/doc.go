// Package pubkey says what the public key of somebody else is worth.
package pubkey
