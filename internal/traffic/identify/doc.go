// Package identify turns a client's certificate chain into the words that
// describe the client.
//
// A Client is a proof as well as a description: only From and Anonymous make
// one, and only verify makes the Chain that From demands, so a later stage that
// holds a Client knows that somebody decided who it is. The zero Client is
// nobody and is refused.
package identify
