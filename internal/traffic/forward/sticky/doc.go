// Package sticky remembers who was served where: in cookies that clients keep
// and cannot read or forge, or in the node's memory.
package sticky
