// Package gateway runs a gateway in the process of a test, for the suites in the
// folders beside it.
package gateway
