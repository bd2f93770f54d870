package naming

import (
	"fmt"
	"net/url"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/device"
)

// oidCommonName is that of RFC 4519 section 2.3.
const oidCommonName = "2.5.4.3"

// idMark is where a name has the id.
const idMark = "{id}"

// CheckMark says what is wrong with a name, whatever the id.
func CheckMark(name string) error {
	if strings.Count(name, idMark) != 1 {
		return fmt.Errorf("%q, which has not one place for the id: expected one {id} in it", name)
	}
	return nil
}

// Check says what is wrong with a name: a device must be found again in
// a certificate that names it so. sample is some device's id.
func Check(ids device.IDs, name, sample string) error {
	who := &countersign.Identity{}
	text := strings.ReplaceAll(name, idMark, sample)
	switch ids.From {
	case device.FromSANDNS:
		who.DNSNames = []string{text}
	case device.FromSANURI:
		who.URIs = []string{text}
	default:
		who.CommonNames = []string{text}
	}
	got, err := ids.Of(who)
	if err == nil && got != sample {
		err = fmt.Errorf("it is found as %q", got)
	}
	if err != nil {
		return fmt.Errorf("the device %s would be named %q, where devices.id does not find it: %w", sample, text, err)
	}
	return nil
}

// Certificate is what the certificate of a device says of it.
func Certificate(ids device.IDs, name, id string) (subject []byte, names altname.Names, err error) {
	if err := Check(ids, name, id); err != nil {
		return nil, names, err
	}
	text := strings.ReplaceAll(name, idMark, id)
	cn := id
	switch ids.From {
	case device.FromSANDNS:
		names.DNS = []string{text}
	case device.FromSANURI:
		u, err := url.Parse(text)
		if err != nil {
			return nil, names, err
		}
		names.URIs = []*url.URL{u}
	default:
		cn = text
	}
	subject, err = request.CommonName(cn)
	return subject, names, err
}
