package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Fault is one thing that is wrong with a file, in words for the person who
// wrote it.
type Fault struct {
	File         string
	Line, Column int    // from 1, Column in characters; 0: the file as a whole
	Path         string // of the key: listeners[0].client_auth.mode; empty: the file as a whole
	Found        string // what is there
	Expected     string // what should be; may be empty
	Hint         string // what to do; may be empty
	Warning      bool   // worth saying, but the file can be used
}

// String returns "FILE:LINE:COLUMN: PATH: found X, expected Y; hint" on one line,
// whatever is in the file.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Warning {
		b.WriteString("warning: ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString("found " + f.Found)
	if f.Expected != "" {
		b.WriteString(", expected " + f.Expected)
	}
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return strings.Map(printable, b.String())
}

// printable replaces what would end a line, or move the cursor of a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return '\ufffd'
	}
	return r
}

// Faults are the faults of one file. As an error it is a line for each.
type Faults []Fault

// Error returns one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns fs as an error, or nil when there are warnings at most.
func (fs Faults) Err() error {
	if slices.ContainsFunc(fs, func(f Fault) bool { return !f.Warning }) {
		return fs
	}
	return nil
}

// Sorted returns the faults in the order of the file, each once.
func (fs Faults) Sorted() Faults {
	var sorted Faults
	seen := map[Fault]bool{}
	for _, f := range fs {
		if !seen[f] {
			sorted = append(sorted, f)
		}
		seen[f] = true
	}
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Path, b.Path))
	})
	return sorted
}
