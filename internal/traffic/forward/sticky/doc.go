// Package sticky remembers who was served where.
//
// It does so in cookies, which clients keep but can neither read nor forge, or in
// the node's memory.
package sticky
