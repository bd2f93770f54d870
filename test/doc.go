// Package test holds what the documents promise to Go tests.
//
// The house rules of CONTRIBUTING.md, the paths in ARCHITECTURE.md, the commands
// in README.md: each is checked here.
package test
