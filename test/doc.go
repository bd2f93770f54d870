// Package test holds the house rules as Go tests, the documentation's promises
// as well: what CONTRIBUTING.md and ARCHITECTURE.md say is checked here.
package test
