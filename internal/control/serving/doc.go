// Package serving runs an HTTP server until it is to end.
package serving
