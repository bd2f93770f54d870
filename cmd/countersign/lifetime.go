package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxLifetime keeps a mistyped lifetime from becoming a date that no program reads.
const maxLifetime = 100 * 365 * 24 * time.Hour

// A lifetime is a flag that takes days beside what Go's durations have: 365d, 1d12h, 90m.
type lifetime time.Duration

func (l *lifetime) Set(s string) error {
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 16)
	var d time.Duration
	if err == nil && rest != "" {
		d, err = time.ParseDuration(rest)
	}
	if err != nil || s == "" {
		return errors.New("expected a length of time such as 365d, 36h or 1d12h (a year is 365d)")
	}
	total := time.Duration(n)*24*time.Hour + d
	if d < 0 || d > maxLifetime || total <= 0 || total > maxLifetime {
		return errors.New("expected more than nothing and at most 36500d")
	}
	*l = lifetime(total)
	return nil
}

func (l *lifetime) Type() string { return "time" }

func (l *lifetime) String() string {
	d := time.Duration(*l)
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	switch {
	case d == 0:
		return "0" // as a default, none: pflag does not print it
	case days == 0:
		return short(d)
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, short(rest))
}

// short is Duration.String without the zeros at its end: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
