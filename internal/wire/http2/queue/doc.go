// Package queue holds octets that nobody has read yet in pooled memory.
package queue
