// Package sockettest looks at sockets, for tests.
package sockettest
