package publish_test

import (
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
)

// A list that has not changed is the same one in the next configuration, in
// whichever trust store: it was not parsed again.
func TestAnUnchangedListIsNotParsedAgain(t *testing.T) {
	f := newFiles(t)
	f.write("countersign.yaml", []byte(strings.Replace(goodConfig, "target_groups:", `  - name: second
    ca_bundle: [ca.crt]
    revocation: {crls: [crl.pem]}
target_groups:`, 1)))
	read := func(o publish.Options) *publish.Draft {
		t.Helper()
		draft, faults := publish.Read(t.Context(), f.path("countersign.yaml"), o, nil)
		if draft == nil {
			t.Fatal(faults)
		}
		return draft
	}
	first := read(publish.Options{})
	second := read(publish.Options{InForce: first})
	list := first.Lists["fleet"][0]
	if first.Lists["second"][0] != list {
		t.Error("two trust stores have a list each")
	}
	if second.Lists["fleet"][0] != list || second.Lists["second"][0] != list {
		t.Error("the list was parsed again")
	}
	f.write("crl.pem", testpki.CRLPEM(f.root.CRL(testpki.CRLNumber(2))))
	if third := read(publish.Options{InForce: second}); third.Lists["fleet"][0].Number.Int64() != 2 {
		t.Error("a list that changed was not read")
	}
}

// A list of the future is a warning at the start, when there is nothing better,
// and a fault when it would replace one.
func TestAListOfTheFutureReplacesNothing(t *testing.T) {
	f := newFiles(t)
	f.write("countersign.yaml", []byte(goodConfig))
	inForce, faults := publish.Read(t.Context(), f.path("countersign.yaml"), publish.Options{}, nil)
	if inForce == nil {
		t.Fatal(faults)
	}
	f.write("crl.pem", f.root.CRL(testpki.CRLNumber(2), testpki.CRLValid(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))))
	if draft, faults := publish.Read(t.Context(), f.path("countersign.yaml"), publish.Options{InForce: inForce}, nil); draft != nil || !strings.Contains(faults.Error(), "in the future") {
		t.Errorf("it replaces one: %v", faults)
	}
	if draft, faults := publish.Read(t.Context(), f.path("countersign.yaml"), publish.Options{}, nil); draft == nil {
		t.Errorf("nothing starts: %v", faults)
	}
}
