// Package pattern compares texts with what rules want them to be. A pattern is a
// glob or a regular expression.
package pattern
