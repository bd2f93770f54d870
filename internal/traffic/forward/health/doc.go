// Package health finds out whether a target is well.
//
// A Checker asks one target once; a Tracker turns the answers into a state by
// thresholds; Watch does so again and again until it is told to stop. States,
// reason codes and their words are those of AWS's DescribeTargetHealth, so that
// whoever knows one balancer can read the other.
//
// To add a kind of check: a file with its Checker, a line in New, a test that
// runs healthtest.
package health
