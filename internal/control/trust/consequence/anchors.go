package consequence

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"countersign.dev/internal/wire/dn"
)

// anchors compares those of today with those of the candidate, in that order.
func (q *inquest) anchors(now, then []*x509.Certificate) []client.DiffAnchor {
	has := func(list []*x509.Certificate, c *x509.Certificate) bool {
		return slices.ContainsFunc(list, c.Equal)
	}
	all := slices.Clone(now)
	for _, c := range then {
		if !has(now, c) {
			all = append(all, c)
		}
	}
	out := []client.DiffAnchor{}
	for _, c := range all {
		sum := sha256.Sum256(c.Raw)
		a := client.DiffAnchor{Subject: plain(c.RawSubject), Issuer: plain(c.RawIssuer), Serial: dn.Serial(c.SerialNumber),
			Fingerprint: "sha256:" + hex.EncodeToString(sum[:]), NotAfter: c.NotAfter.UTC(), Change: "kept"}
		u := q.use(sum)
		a.Clients, a.Connected, a.LastUsed = u.is, u.isConnected, u.last.UTC().Truncate(time.Second)
		switch {
		case !has(then, c):
			a.Change, a.Clients, a.Connected = "removed", u.was, u.wasConnected
		case !has(now, c):
			a.Change = "added"
		}
		a.Unused = a.Change != "removed" && u.is == 0
		for _, other := range all {
			if r := relation(c, other); r != "" {
				a.Relations = append(a.Relations, r)
			}
		}
		out = append(out, a)
	}
	return out
}

// relation says what c has to do with another anchor, in words; "" for nothing.
func relation(c, other *x509.Certificate) string {
	if c.Equal(other) {
		return ""
	}
	which := fmt.Sprintf("the one with serial %s", dn.Serial(other.SerialNumber))
	sameKey := bytes.Equal(c.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo)
	switch {
	case bytes.Equal(c.RawSubject, other.RawSubject) && !sameKey:
		return "the same name as " + which + ", with another key: what the one has issued, the other does not verify"
	case bytes.Equal(c.RawSubject, other.RawSubject) && bytes.Equal(c.RawIssuer, other.RawIssuer):
		return "the same name and key as " + which + ": the certificate was renewed, and either verifies what that key has issued"
	case bytes.Equal(c.RawSubject, other.RawSubject):
		return "the same name and key as " + which + ", from another issuer: cross-signed, and either verifies what that key has issued"
	case sameKey:
		return "the same key as " + which + ", under another name"
	case bytes.Equal(c.RawIssuer, other.RawSubject) && c.CheckSignatureFrom(other) == nil:
		return "issued by " + which + ", which is an anchor too"
	}
	return ""
}

// lists compares revocation lists, series by series.
func lists(now, then []*crl.List) []client.DiffList {
	of := func(l *crl.List, all []*crl.List) (same []*crl.List) {
		for _, other := range all {
			if other.Series() == l.Series() && (other.Base == nil) == (l.Base == nil) {
				same = append(same, other)
			}
		}
		return same
	}
	out := []client.DiffList{}
	for _, l := range then {
		d := about(l)
		before := of(l, now)
		d.Change = "replaced"
		if len(before) == 0 {
			d.Change = "added"
		}
		for _, b := range before {
			if b.Digest() == l.Digest() {
				d.Change = "kept"
			}
			if b.Number != nil {
				d.Before = b.Number.String()
			}
		}
		if d.Change != "kept" {
			d.Added, d.Removed = missing(l, before), 0
			for _, b := range before {
				d.Removed += missing(b, of(l, then))
			}
		}
		out = append(out, d)
	}
	for _, l := range now {
		if len(of(l, then)) == 0 {
			d := about(l)
			d.Change, d.Removed = "removed", l.Len()
			out = append(out, d)
		}
	}
	return out
}

func about(l *crl.List) client.DiffList {
	d := client.DiffList{Issuer: plain(l.RawIssuer), Scope: l.Scope(), Delta: l.Base != nil,
		ThisUpdate: l.ThisUpdate.UTC(), NextUpdate: l.NextUpdate.UTC(), Entries: l.Len()}
	if l.Number != nil {
		d.Number = l.Number.String()
	}
	return d
}

// missing counts the entries of l that none of others has.
func missing(l *crl.List, others []*crl.List) (n int) {
	for serial := range l.Serials() {
		if !slices.ContainsFunc(others, func(o *crl.List) bool { _, on := o.Reason(serial); return on }) {
			n++
		}
	}
	return n
}
