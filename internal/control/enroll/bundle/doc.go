// Package bundle reads a finished certificate with its key, as operators upload it.
package bundle
