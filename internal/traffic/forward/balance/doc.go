// Package balance chooses which of several equally usable targets serves next.
//
// Which targets are usable is not its business: upstream hands it the set, anew
// whenever the set changes. To add an algorithm: a file with its Algorithm, a
// line in New, a test that runs balancetest.
package balance
