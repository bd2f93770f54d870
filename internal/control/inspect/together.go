package inspect

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"

	"countersign.dev/internal/traffic/verify/describe"
)

// compareCertificates looks for one CA in several places, and for several CAs
// that look like one.
func (in *inspection) compareCertificates() {
	seen := map[string][]*Certificate{} // by subject
	for _, c := range in.certificates() {
		name := string(c.x509.RawSubject)
		what, hint := alike(c, seen[name])
		if what != "" {
			in.add(Finding{File: c.file, Line: c.Line, Severity: Warning, What: describe.Certificate(c.x509) + ": " + what, Hint: hint})
		}
		seen[name] = append(seen[name], c)
	}
}

// alike says what c has in common with one of those that have its name, the
// most if with several.
func alike(c *Certificate, namesakes []*Certificate) (what, hint string) {
	for _, n := range namesakes {
		if bytes.Equal(c.x509.Raw, n.x509.Raw) { // in one file it is a fault of the bundle
			return "it is the certificate of " + n.where() + " again", "remove one of them"
		}
	}
	for _, n := range namesakes {
		if bytes.Equal(c.x509.RawSubjectPublicKeyInfo, n.x509.RawSubjectPublicKeyInfo) {
			return "it has the name and key of " + n.where(), "they are one CA: keep the one that clients' paths need, as a rule the one that ends later"
		}
	}
	if len(namesakes) > 0 {
		return "it has the name of " + namesakes[0].where() + " and another key", "while a CA changes its key that is as it should be; else find out which of the two is genuine"
	}
	return "", ""
}

func (in *inspection) certificates() (all []*Certificate) {
	for i := range in.Files {
		for j := range in.Files[i].Certificates {
			all = append(all, &in.Files[i].Certificates[j])
		}
	}
	return all
}

func (c *Certificate) where() string {
	if c.Line == 0 {
		return c.file
	}
	return fmt.Sprintf("%s, line %d", c.file, c.Line)
}

// AWS's quotas for a trust store (Elastic Load Balancing user guide, "Quotas
// for your Application Load Balancers").
const (
	awsCertificates    = 25
	awsCertificateSize = 16 << 10
	awsSubjects        = 10000 // bytes: the sum of len(DER)+2
	awsLists           = 30
	awsListSize        = 50 << 20
	awsEntries         = 500000
	awsDepth           = 4
)

// quotas says what AWS would not take of all files together.
func (in *inspection) quotas() {
	warn := func(file string, line int, hint, want, format string, args ...any) {
		in.add(Finding{File: file, Line: line, Severity: Warning, AWS: true, What: fmt.Sprintf(format, args...), Want: want, Hint: hint})
	}
	all := in.certificates()
	bySubject := map[string]*x509.Certificate{}
	for _, c := range all {
		bySubject[string(c.x509.RawSubject)] = c.x509
	}
	subjects := 0
	for _, c := range all {
		subjects += len(c.x509.RawSubject) + 2
		if n := len(c.x509.Raw); n > awsCertificateSize {
			warn(c.file, c.Line, "issue the CA again with fewer extensions", fmt.Sprintf("at most %d on AWS", awsCertificateSize), "%s has %d bytes", describe.Certificate(c.x509), n)
		}
		if n := depth(c.x509, bySubject); n+1 > awsDepth {
			warn(c.file, c.Line, "clients below it are too deep if AWS needs the whole path; keep a CA that is closer to them", fmt.Sprintf("at most %d certificates on AWS, the client's included", awsDepth),
				"%s is %d CAs away from its root", describe.Certificate(c.x509), n-1)
		}
	}
	if n := len(all); n > awsCertificates {
		warn("", 0, "spread them over several trust stores, or have the quota raised; here it is limits.ca_certificates", fmt.Sprintf("at most %d on AWS", awsCertificates), "the bundles have %d CA certificates", n)
	}
	if subjects > awsSubjects {
		warn("", 0, "spread them over several trust stores, or have the quota raised", fmt.Sprintf("at most %d on AWS", awsSubjects), "the subjects of the CAs take %d bytes", subjects)
	}
	lists, entries := 0, 0
	for _, f := range in.Files {
		lists += len(f.lists)
		for _, l := range f.lists {
			entries += l.Len()
		}
		in.awsFile(&f, warn)
	}
	if lists > awsLists {
		warn("", 0, "leave those out whose certificates have all expired", fmt.Sprintf("at most %d on AWS", awsLists), "there are %d revocation lists", lists)
	}
	if entries > awsEntries {
		warn("", 0, "let the CAs leave expired certificates out, or have the quota raised", fmt.Sprintf("at most %d on AWS", awsEntries), "the lists have %d revoked certificates", entries)
	}
}

func (in *inspection) awsFile(f *File, warn func(file string, line int, hint, want, format string, args ...any)) {
	if f.Kind != "list" {
		return
	}
	if n := len(f.lists); n > 1 {
		warn(f.Name, 0, "one file each", "one on AWS", "there are %d revocation lists in the file", n)
	}
	for _, l := range f.lists {
		if l.Base != nil {
			warn(f.Name, 0, "give AWS the complete list", "complete lists on AWS, which says nothing about others", "%s is a change of another", named(l))
		}
	}
	if info, err := os.Stat(f.Name); err == nil && info.Size() > awsListSize {
		warn(f.Name, 0, "let the CA leave expired certificates out, or issue partitions", fmt.Sprintf("at most %d on AWS", awsListSize), "the file has %d bytes", info.Size())
	}
}

// depth counts the certificates from c to its root, as far as they are there.
func depth(c *x509.Certificate, bySubject map[string]*x509.Certificate) int {
	n := 1
	for n < 16 && !selfIssued(c) { // CAs may go round in circles
		issuer := bySubject[string(c.RawIssuer)]
		if issuer == nil {
			break
		}
		c = issuer
		n++
	}
	return n
}
