// Package storetest is what every store has to do.
package storetest
