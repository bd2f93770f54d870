package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
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
	for _, line := range wrap(fmt.Sprintf(format, args...), s.width()) {
		fmt.Fprintf(s.out, "    %-24s %s\n", label, line)
		label = ""
	}
}

// width is how long the right column of a row may be: what a narrow terminal has
// left beside the other one.
func (s *screen) width() int {
	const left, widest, narrowest = 29, 90, 30
	f, ok := s.out.(*os.File)
	if !ok {
		return widest
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 { // no terminal, or one that does not say
		return widest
	}
	return min(max(int(size.Col)-left, narrowest), widest)
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
