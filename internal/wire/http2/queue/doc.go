// Package queue holds octets that nobody has read yet, in memory that is taken
// from a pool as they come and given back as they go.
package queue
