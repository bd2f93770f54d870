// Package trust stages what is to take the place of a CA bundle or a revocation
// list.
//
// Whoever replaces an authority must not lock out the clients that it has, so a
// candidate is kept beside the file that it is for, held against every client
// that is connected or was seen, by the function that decides in a handshake, and
// put into its place when somebody who has seen the outcome says so.
package trust
