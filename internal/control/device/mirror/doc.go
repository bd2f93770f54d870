// Package mirror keeps what a node has to know of the devices that it serves.
package mirror
