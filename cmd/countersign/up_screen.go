package main

import (
	"fmt"
	"io"
	"strings"
)

// A screen is what up tells a person, as it happens.
type screen struct {
	out   io.Writer
	steps int
}

func (s *screen) title(format string, args ...any) {
	fmt.Fprintf(s.out, "\n"+format+"\n", args...)
}

func (s *screen) step(format string, args ...any) {
	s.steps++
	fmt.Fprintf(s.out, "\n%2d  "+format+"\n", append([]any{s.steps}, args...)...)
}

func (s *screen) row(label, format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), 90) {
		fmt.Fprintf(s.out, "    %-24s %s\n", label, line)
		label = ""
	}
}

// wrap breaks text between words into lines of at most width bytes; a word that
// is longer has a line to itself.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// command prints a line to copy, under what it is for.
func (s *screen) command(what, format string, args ...any) {
	fmt.Fprintf(s.out, "    # %s\n    %s\n", what, fmt.Sprintf(format, args...))
}
