package consequence

import (
	"crypto/sha256"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

func TestOnlyWhoCameWithANewerCertificateSinceIsReplaced(t *testing.T) {
	ca := testpki.NewRoot(t, "Fleet CA")
	old := ca.Client("device")
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return monday.AddDate(0, 0, n) }
	print := sha256.Sum256(old.X509.Raw)
	mine := sighting{print, day(0), day(3), false}
	for name, c := range map[string]struct {
		others    []sighting
		connected bool
		want      bool
	}{
		"nobody else":                           {nil, false, false},
		"a newer one":                           {[]sighting{{first: day(4), last: day(5), accepted: true}}, false, true},
		"a newer one that is refused too":       {[]sighting{{first: day(4), last: day(5)}}, false, false},
		"an older one":                          {[]sighting{{first: day(-5), last: day(-4), accepted: true}}, false, false},
		"one of the same name, side by side":    {[]sighting{{first: day(1), last: day(5), accepted: true}}, false, false},
		"others of the same name, side by side": {[]sighting{{first: day(4), last: day(8), accepted: true}, {first: day(5), last: day(9), accepted: true}}, false, false},
		"a newer one, within the hour":          {[]sighting{{first: day(3).Add(-time.Minute), last: day(5), accepted: true}}, false, true},
		"a newer one, and it is connected":      {[]sighting{{first: day(4), last: day(5), accepted: true}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := &inquest{holders: map[holder][]sighting{holderOf(old.X509): append(c.others, mine)}}
			if got := q.replaced(&answer{fingerprint: print, leaf: old.X509, connected: c.connected}); got != c.want {
				t.Errorf("replaced: %v, want %v", got, c.want)
			}
		})
	}
}

func TestACertificateWithoutANameIsNobodys(t *testing.T) {
	ca := testpki.NewRoot(t, "Fleet CA")
	if h := holderOf(ca.Client("", testpki.RawSubject([]byte{0x30, 0})).X509); h != (holder{}) {
		t.Error("certificates without a name have a holder in common")
	}
	one, two := ca.Client("device", testpki.DNS("one.example.com")).X509, ca.Client("device", testpki.DNS("two.example.com")).X509
	if holderOf(one) == holderOf(two) {
		t.Error("certificates with other alternative names have one holder")
	}
}
