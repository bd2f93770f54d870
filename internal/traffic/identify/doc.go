// Package identify turns a client's certificate chain into the words that
// describe the client.
//
// A Client is a proof as well as a description: only From, Vouched and Anonymous
// make one; only verify makes the Chain that From demands, and only listen/proxied
// the Voucher that Vouched does. So a later stage that holds a Client knows that
// somebody decided who it is. The zero Client is
// nobody and is refused.
package identify
