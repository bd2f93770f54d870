// Package report turns what turns have measured into a table.
//
// A figure is the median over the turns; a ratio is countersign's median
// divided by the better peer's, so that 0.5 is half of what the better one needs.
package report
