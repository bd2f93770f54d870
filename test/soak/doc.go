// Package soak has a gateway serve everything at once while its configuration
// changes, to see that no request fails, that nothing is left behind.
package soak
