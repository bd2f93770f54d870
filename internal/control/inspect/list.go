package inspect

import (
	"crypto/x509"
	"fmt"
	"io"
	"strconv"
	"strings"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// list reads revocation lists. What cannot be honored (indirect lists, unknown
// critical extensions and the like) is among crl.Read's faults.
func (in *inspection) list(f *File, r io.Reader, secret map[int]bool) error {
	f.Kind = "list"
	lists, err := crl.Read(f.Name, r, crl.Limits{})
	for _, err := range each(err) {
		line, what := place(f.Name, err)
		if !secret[line] {
			in.add(Finding{File: f.Name, Line: line, Severity: Fault, What: what})
		}
	}
	f.lists = lists
	for _, l := range lists {
		entry := List{Issuer: subject(l.RawIssuer), Delta: l.Base != nil, Scope: l.Scope(), ThisUpdate: l.ThisUpdate.UTC(), NextUpdate: l.NextUpdate.UTC(), Entries: l.Len()}
		if l.Number != nil {
			entry.Number = l.Number.String()
		}
		f.Lists = append(f.Lists, entry)
		in.dates(f.Name, l)
	}
	return nil
}

func (in *inspection) dates(file string, l *crl.List) {
	who := named(l)
	switch {
	case in.o.Now.After(l.NextUpdate):
		in.add(Finding{File: file, Severity: Fault, What: fmt.Sprintf("%s of %s expired on %s", who, describe.Date(l.ThisUpdate), describe.Date(l.NextUpdate)),
			Hint: "get the newest from the CA; clients of its issuer are refused, unless revocation.grace or revocation.stale say otherwise"})
	case in.o.Now.Before(l.ThisUpdate):
		in.add(Finding{File: file, Severity: Warning, What: fmt.Sprintf("%s is dated %s, in the future", who, describe.Date(l.ThisUpdate)), Hint: "see whether the clocks here and at the CA are right"})
	case l.NextUpdate.Sub(in.o.Now) < min(in.o.Soon, l.NextUpdate.Sub(l.ThisUpdate)/4): // a list of a week is not always about to end
		in.add(Finding{File: file, Severity: Warning, What: fmt.Sprintf("%s expires on %s", who, describe.Date(l.NextUpdate)), Hint: "get a newer one from the CA"})
	}
	if l.Number == nil {
		in.add(Finding{File: file, Severity: Warning, What: who + " has no number (RFC 5280 section 5.2.3)", Hint: "it can be put in the place of a newer one unnoticed; let the CA number its lists"})
	}
}

// named is l without the name of its file, which stands before it already.
func named(l *crl.List) string { return strings.TrimSuffix(l.String(), " ("+l.Name+")") }

// compareLists holds the lists against the CAs of the bundles, and against each other.
func (in *inspection) compareLists() {
	var cas []*x509.Certificate
	for _, f := range in.Files {
		for _, c := range f.Certificates {
			cas = append(cas, c.x509)
		}
	}
	newest := map[string]*crl.List{}
	for _, f := range in.Files {
		for _, l := range f.lists {
			if n := newest[l.Series()]; l.Base == nil && (n == nil || l.ThisUpdate.After(n.ThisUpdate)) {
				newest[l.Series()] = l
			}
		}
	}
	for _, f := range in.Files {
		for _, l := range f.lists {
			if len(cas) > 0 {
				in.signed(l, cas)
			}
			if n := newest[l.Series()]; l.Base == nil && n != l {
				in.add(Finding{File: f.Name, Severity: Warning, What: fmt.Sprintf("%s of %s is older than %s", named(l), describe.Date(l.ThisUpdate), n),
					Hint: "remove it: what is on any list is revoked, and it makes the store larger"})
			}
		}
	}
}

func (in *inspection) signed(l *crl.List, cas []*x509.Certificate) {
	var namesake *x509.Certificate
	for _, ca := range cas {
		switch {
		case l.IssuedBy(ca) && ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCRLSign == 0:
			in.add(Finding{File: l.Name, Severity: Fault, What: fmt.Sprintf("%s: the key usage of %s does not let it sign revocation lists", named(l), describe.Certificate(ca)),
				Want: "cRLSign", Hint: "let the CA be issued again with it"})
			return
		case l.IssuedBy(ca):
			return
		case l.MayBeOf(ca):
			namesake = ca
		}
	}
	if namesake != nil {
		in.add(Finding{File: l.Name, Severity: Fault, What: fmt.Sprintf("%s is not signed by the key of %s, which has its issuer's name", named(l), describe.Certificate(namesake)),
			Hint: "it is damaged, forged, or of another CA with the same name: get it again from the CA"})
		return
	}
	in.add(Finding{File: l.Name, Severity: Warning, What: named(l) + " is of no CA in the bundles given",
		Hint: "it counts only for clients that send the certificate of that CA as an intermediate; if it is not one, remove it"})
}

// each takes a joined error apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// place takes the file's name and a line number off the front of a message.
func place(file string, err error) (line int, what string) {
	rest := strings.TrimPrefix(err.Error(), file)
	if number, what, ok := strings.Cut(strings.TrimPrefix(rest, ":"), ": "); ok && rest != err.Error() {
		if n, err := strconv.Atoi(number); err == nil {
			return n, what
		}
	}
	return 0, strings.TrimPrefix(rest, ": ")
}
