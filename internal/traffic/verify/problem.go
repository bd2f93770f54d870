package verify

import (
	"fmt"
	"strings"
)

// A Problem is something wrong, or doubtful, with a file of a trust store.
type Problem struct {
	Name    string // of the file, as given to LoadBundle; "" when it is about the store as a whole
	Line    int    // from 1; 0 when it is about the file as a whole
	What    string // what was found
	Want    string // what was expected, may be empty
	Hint    string // what to do, may be empty
	Warning bool   // the file may be used all the same
}

// Error returns "NAME:LINE: what; want ...; hint".
func (p Problem) Error() string {
	var b strings.Builder
	if p.Name != "" {
		b.WriteString(p.Name)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(p.What)
	if p.Want != "" {
		b.WriteString("; want " + p.Want)
	}
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}
