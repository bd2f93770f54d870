// Package pattern compares texts with what rules want them to be: globs and
// regular expressions.
package pattern
