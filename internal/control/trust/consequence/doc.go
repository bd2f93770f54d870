// Package consequence asks what would become of clients if another bundle or list
// came into force.
//
// Everybody who is connected, and everybody who was seen, is asked by the function
// that decides in a handshake, under the policies that would be in force then.
package consequence
