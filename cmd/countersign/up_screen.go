package main

import (
	"fmt"
	"io"
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
	fmt.Fprintf(s.out, "\n %d  "+format+"\n", append([]any{s.steps}, args...)...)
}

func (s *screen) row(label, format string, args ...any) {
	fmt.Fprintf(s.out, "    %-24s %s\n", label, fmt.Sprintf(format, args...))
}

// command prints a line to copy, under what it is for.
func (s *screen) command(what, format string, args ...any) {
	fmt.Fprintf(s.out, "    # %s\n    %s\n", what, fmt.Sprintf(format, args...))
}
