// Package condition says whether a request meets what a rule asks of it.
package condition
