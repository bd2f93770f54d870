// Package respond is what answers a request in the place of a target: somebody
// within the node.
package respond
