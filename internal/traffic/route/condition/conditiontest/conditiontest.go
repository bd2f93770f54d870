// Package conditiontest makes what rules are asked about.
package conditiontest

import (
	"crypto/x509"
	"strings"
	"testing"

	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/http1"
)

// Patterns compiles texts.
func Patterns(t testing.TB, fold bool, texts ...string) (all []*pattern.Pattern) {
	t.Helper()
	for _, text := range texts {
		p, err := pattern.Compile(text, fold)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// Request returns the head of a request, as it comes over the network.
func Request(t testing.TB, lines ...string) *http1.Request {
	t.Helper()
	q := new(http1.Request)
	if _, err := q.Parse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), http1.Limits{}); err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return q
}

// Client returns one that has shown chain, which leads to anchor.
func Client(t testing.TB, anchor *x509.Certificate, chain []*x509.Certificate) identify.Client {
	t.Helper()
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{anchor}})
	if err != nil {
		t.Fatal(err)
	}
	proven, denial := store.Verify(chain, verify.Options{})
	if denial != nil {
		t.Fatal(denial)
	}
	c, denial := identify.From(proven)
	if denial != nil {
		t.Fatal(denial)
	}
	return c
}
