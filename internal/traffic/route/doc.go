// Package route says which action a listener takes for a request.
package route
