package main

import (
	"strings"
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"365d", 365 * day, "365d"},
		{"24h", day, "1d"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"1d12h", 36 * time.Hour, "1d12h"},
		{"36h", 36 * time.Hour, "1d12h"},
		{"10m", 10 * time.Minute, "10m"},
		{"20h10s", 20*time.Hour + 10*time.Second, "20h0m10s"},
		{"36500d", maxLifetime, "36500d"},
	} {
		var l lifetime
		if err := l.Set(tc.text); err != nil || time.Duration(l) != tc.want || l.String() != tc.back {
			t.Errorf("%s: %s (%s), %v; want %s (%s)", tc.text, time.Duration(l), &l, err, tc.want, tc.back)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"", "such as 365d"},
		{"d", "such as 365d"},
		{"5y", "such as 365d"},
		{"365", "such as 365d"},
		{"1.5d", "such as 365d"},
		{"-1d", "such as 365d"},
		{"0d", "more than nothing"},
		{"0s", "more than nothing"},
		{"-1h", "more than nothing"},
		{"1d-1h", "more than nothing"},
		{"36501d", "at most 36500d"},
		{"65535d2500000h", "at most 36500d"},
		{"99999d", "such as 365d"},
	} {
		var l lifetime
		if err := l.Set(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %s, %v; want %q", tc.text, &l, err, tc.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"pki/fleet-1": "pki/fleet-1", "": "''", "my ca": "'my ca'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a;b": "'a;b'", "café": "'café'",
	} {
		if got := quote(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
