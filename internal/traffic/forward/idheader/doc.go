// Package idheader writes HTTP header fields that tell a backend who the client is.
//
// # What is said about whom
//
// A verified client is named: subject, serial, alternative names. Of a client
// that passes through unverified the certificates and their digests are
// forwarded, never a name as though somebody had checked it. Of an anonymous
// client, or one whose certificate was refused, a field may say just that
// (X-SSL-Client-Verify: NONE).
//
// # What can be believed
//
// Whatever a client sends under any of these names, in any spelling that some
// backend folds into them, has to be removed from its request and its trailers
// first: that is what Stripped and Plan.Strips are for. Values are printable
// ASCII, whatever the certificate holds.
//
// A token can be believed wherever it came by: it is signed, for one target group
// and for a minute.
//
// A dialect is a file of this package; dialects() is the list of them.
package idheader
