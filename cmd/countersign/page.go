package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A page is how a command tells a person what it did: a title, rows of a label
// with its text, commands to try next.
type page struct {
	title string
	rows  [][2]string
	next  []string
}

func newPage(format string, args ...any) *page { return &page{title: fmt.Sprintf(format, args...)} }

func (p *page) row(label, format string, args ...any) {
	p.rows = append(p.rows, [2]string{label, fmt.Sprintf(format, args...)})
}

func (p *page) try(format string, args ...any) {
	p.next = append(p.next, fmt.Sprintf(format, args...))
}

// print writes the page with the texts of its rows aligned.
func (p *page) print(out io.Writer) error {
	width := 0
	for _, r := range p.rows {
		width = max(width, len(r[0]))
	}
	var b strings.Builder
	fmt.Fprintln(&b, p.title)
	for _, r := range p.rows {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, r[0], r[1])
	}
	if len(p.next) > 0 {
		fmt.Fprintln(&b, "\nNext:")
	}
	for _, s := range p.next {
		fmt.Fprintln(&b, "  "+s)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// until prints an instant with its distance from now.
func until(t time.Time) string {
	d := time.Until(t).Round(time.Minute)
	switch {
	case d < 0:
		return instant(t) + " (past)"
	case d < 48*time.Hour:
		return fmt.Sprintf("%s (in %s)", instant(t), short(d))
	}
	return fmt.Sprintf("%s (in %d days)", instant(t), int(d.Hours()/24+0.5))
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func dateOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// quote makes s safe to paste into a shell.
func quote(s string) string {
	safe := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("_-./@:+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// second is a time to the second, as the logs and the API write it.
func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }
