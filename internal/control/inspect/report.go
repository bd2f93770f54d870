package inspect

import (
	"cmp"
	"crypto/x509"
	"slices"
	"time"

	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Report is what was found in some files.
type Report struct {
	Files    []File    `json:"files"`
	Findings []Finding `json:"findings"` // about single files in their order, then about all of them
}

// A File is what one has in it.
type File struct {
	Name         string        `json:"name"`
	Kind         string        `json:"kind"` // "bundle", "list", or "" when it is neither
	Certificates []Certificate `json:"certificates,omitempty"`
	Lists        []List        `json:"lists,omitempty"`

	lists []*crl.List
}

// A Certificate is one of a bundle.
type Certificate struct {
	Line        int       `json:"line,omitempty"` // of its BEGIN line; 0 in DER
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key"`
	Signature   string    `json:"signature"`
	Fingerprint string    `json:"fingerprint"` // "sha256:" and hex, as accept.fingerprint takes it

	file string
	x509 *x509.Certificate
}

// A List is a revocation list.
type List struct {
	Issuer     string    `json:"issuer"`
	Number     string    `json:"number,omitempty"` // decimal
	Delta      bool      `json:"delta,omitempty"`
	Scope      string    `json:"scope,omitempty"` // "" is all certificates of the issuer
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Entries    int       `json:"entries"`
}

// A Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Alarm   Severity = "alarm"   // a secret is where it should not be
	Fault   Severity = "fault"   // the gateway refuses the file, or those below it
	Warning Severity = "warning" // it works, and somebody should look
)

// A Finding is one thing that is wrong, or doubtful.
type Finding struct {
	File     string   `json:"file,omitempty"` // "" when it is about all of them
	Line     int      `json:"line,omitempty"` // from 1; 0 when it is about the file as a whole
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Want     string   `json:"want,omitempty"`
	Hint     string   `json:"hint,omitempty"` // what to do
	AWS      bool     `json:"aws,omitempty"`  // it is about AWS alone
}

// Faults returns how many findings are worse than a warning.
func (r *Report) Faults() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity != Warning {
			n++
		}
	}
	return n
}

func (r *Report) add(f Finding) { r.Findings = append(r.Findings, f) }

// sort puts the findings of each file into the order of lines, those about all last.
func (r *Report) sort() {
	order := map[string]int{"": len(r.Files)}
	for i, f := range r.Files {
		order[f.Name] = i
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
}
