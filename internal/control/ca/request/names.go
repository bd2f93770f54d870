package request

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"countersign.dev/internal/control/ca/altname"
)

// ParseNames reads subject alternative names as an operator writes them:
// dns:HOST, ip:ADDRESS, uri:URI, email:ADDRESS. Their form is checked when
// the certificate is prepared.
func ParseNames(texts []string) (altname.Names, error) {
	var names altname.Names
	var faults []error
	for _, text := range texts {
		if err := addName(&names, text); err != nil {
			faults = append(faults, fmt.Errorf("alternative name %q: %w", text, err))
		}
	}
	return names, errors.Join(faults...)
}

func addName(names *altname.Names, text string) error {
	kind, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("expected its kind in front, as in dns:%s", text)
	}
	switch strings.ToLower(kind) {
	case "dns":
		names.DNS = append(names.DNS, value)
	case "email":
		names.Emails = append(names.Emails, value)
	case "uri":
		u, err := url.Parse(value)
		if err != nil {
			return fmt.Errorf("not a URI: %w", err)
		}
		names.URIs = append(names.URIs, u)
	case "ip":
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" {
			return errors.New("not an IP address: expected one such as 192.0.2.7 or 2001:db8::7")
		}
		names.IPs = append(names.IPs, net.IP(a.Unmap().AsSlice()))
	default:
		return fmt.Errorf("the kind %q is unknown: expected dns, ip, uri or email", kind)
	}
	return nil
}
