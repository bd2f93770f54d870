package naming

import (
	"crypto/x509"
	"fmt"
	"slices"

	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/wire/dn"
)

// CheckRequest refuses a signing request with a name that is not the device's.
func CheckRequest(ids device.IDs, csr *request.CSR, id string) error {
	all, err := dn.Values(csr.Subject, oidCommonName)
	if err != nil {
		return fmt.Errorf("the subject of the signing request: %v", err)
	}
	n := csr.Names
	for _, u := range n.URIs {
		all = append(all, u.String())
	}
	for _, name := range append(all, n.DNS...) {
		if named, err := ids.Normalize(name); err != nil || named != id {
			return fmt.Errorf("the signing request names %q, which is not the device %s", name, id)
		}
	}
	if len(n.Emails)+len(n.IPs) > 0 {
		return fmt.Errorf("the signing request asks for the names %v %v: a device has its id alone", n.Emails, n.IPs)
	}
	return nil
}

// CommonName is the one in a subject; "" for none, or for several.
func CommonName(subject []byte) string {
	all, err := dn.Values(subject, oidCommonName)
	if err != nil || len(all) != 1 {
		return ""
	}
	return all[0]
}

// Same demands what RFC 7030 section 4.2.2 does: the subject and the
// alternative names of the signing request are those of the certificate.
func Same(subject []byte, names altname.Names, leaf *x509.Certificate) error {
	asked, err := dn.String(subject)
	if err != nil {
		return fmt.Errorf("the subject of the signing request: %v", err)
	}
	has, err := dn.String(leaf.RawSubject)
	if err != nil {
		return err
	}
	if asked != has {
		return fmt.Errorf("the signing request has the subject %q, the certificate %q: to renew they are the same (RFC 7030 section 4.2.2)", asked, has)
	}
	own := altname.Names{DNS: leaf.DNSNames, URIs: leaf.URIs, Emails: leaf.EmailAddresses, IPs: leaf.IPAddresses}
	if got, want := listed(names), listed(own); !slices.Equal(got, want) {
		return fmt.Errorf("the signing request has the alternative names %q, the certificate %q: to renew they are the same (RFC 7030 section 4.2.2)", got, want)
	}
	return nil
}

// listed is every alternative name with its kind, in order.
func listed(n altname.Names) []string {
	var all []string
	for _, s := range n.DNS {
		all = append(all, "dns:"+s)
	}
	for _, u := range n.URIs {
		all = append(all, "uri:"+u.String())
	}
	for _, s := range n.Emails {
		all = append(all, "email:"+s)
	}
	for _, ip := range n.IPs {
		all = append(all, "ip:"+ip.String())
	}
	slices.Sort(all)
	return all
}
