// Package sealed keeps secrets at rest under a key that is a file of the node.
package sealed
