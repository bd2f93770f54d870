package publish

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestTicketKeysAreReadAsTheyAreWritten(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	secret := func(b byte) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(b), 32))) }
	const date = "2026-11-22T10:00:00Z"
	for text, want := range map[string]string{
		date + " " + secret('a'): "",
		"# of November\n\n" + date + " " + secret('a') + "\r\n2026-11-21T10:00:00+01:00\t" + secret('b') + "\n": "",
		"2026-11-23T11:59:59Z " + secret('a'): "",
		"":                                    "0 ticket keys: want 1 to 16",
		"# none\n":                            "0 ticket keys",
		secret('a'):                           "line 1 has 1 words, want two",
		"yesterday " + secret('a'):            "line 1 does not begin with a date such as 2026-11-22T12:00:00Z",
		date + " " + secret('a') + "\n" + date + " no-base64!": "line 2 does not end in base64",
		date + " c2hvcnQ=":                                               "line 1 is a key of 5 bytes, want 32",
		date + " " + secret('a')[:43] + "AAAA":                           "does not end in base64",
		date + " " + base64.StdEncoding.EncodeToString(make([]byte, 48)): "line 1 is a key of 48 bytes, want 32",
		date + " " + base64.StdEncoding.EncodeToString(make([]byte, 32)): "has no secret",
		"2026-11-23T12:00:01Z " + secret('a'):                            "line 1 is of 2026-11-23T12:00:01Z, more than a day from now",
		date + " " + secret('a') + "\n" + date + " " + secret('a'):       "twice",
		strings.Repeat(date+" "+secret('a')+"\n", 17):                    "17 ticket keys: want 1 to 16",
		strings.Repeat("A", 70_000):                                      "too long",
	} {
		shared, err := parseTickets([]byte(text), now)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret('a')[:8]) {
			t.Errorf("%.60q: the error tells a secret: %v", text, err)
		}
		if err == nil && shared.Latest().Before(now.Add(-24*time.Hour)) {
			t.Errorf("%.60q: the latest is of %v", text, shared.Latest())
		}
	}
}
