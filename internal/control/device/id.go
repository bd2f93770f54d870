package device

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign.dev"
)

// A Form is how the ids of devices look.
type Form string

// The forms of ids.
const (
	FormMAC  Form = "mac"  // a MAC address in any spelling
	FormText Form = "text" // a text without blanks, taken as it is
)

// A Field is where a certificate has the id.
type Field string

// The fields of a certificate that may have the id.
const (
	FromSubjectCN Field = "subject_cn"
	FromSANDNS    Field = "san_dns"
	FromSANURI    Field = "san_uri"
)

// IDs says what the ids of devices are. The zero value takes text from the common
// name.
type IDs struct {
	From Field
	Form Form
	// Pattern, if not nil, takes the id out of the field: its first group, or all
	// that it matches. What it does not match is no device's.
	Pattern *regexp.Regexp
}

// Normalize returns the one spelling of an id that an operator wrote: the id
// itself, or the field of a certificate that it stands in.
func (i IDs) Normalize(text string) (string, error) {
	text = strings.TrimSpace(text)
	if i.Pattern != nil {
		if inner, ok := i.match(text); ok {
			text = inner
		}
	}
	if i.Form == FormMAC {
		return ParseMAC(text)
	}
	switch outside := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }); {
	case text == "":
		return "", errors.New("the id is empty")
	case !utf8.ValidString(text):
		return "", fmt.Errorf("id %q is not UTF-8", shortened(text))
	case utf8.RuneCountInString(text) > 128:
		return "", fmt.Errorf("id %q has %d letters, at most 128 are possible", shortened(text), utf8.RuneCountInString(text))
	case outside >= 0:
		return "", fmt.Errorf("id %q has a blank or a control character at %d", shortened(text), outside+1)
	}
	return text, nil
}

func (i IDs) match(text string) (string, bool) {
	m := i.Pattern.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	if len(m) > 1 {
		return m[1], true
	}
	return m[0], true
}

// Of returns the id in a certificate. One with two different ids is nobody's.
func (i IDs) Of(who *countersign.Identity) (string, error) {
	fields := who.CommonNames
	switch i.From {
	case FromSANDNS:
		fields = who.DNSNames
	case FromSANURI:
		fields = who.URIs
	}
	var id string
	for _, f := range fields {
		if i.Pattern != nil {
			inner, ok := i.match(f)
			if !ok {
				continue
			}
			f = inner
		}
		next, err := i.bare().Normalize(f)
		if err != nil {
			return "", err
		}
		if id != "" && next != id {
			return "", fmt.Errorf("the certificate names two devices, %s and %s", id, next)
		}
		id = next
	}
	if id == "" {
		return "", errors.New("the certificate names no device")
	}
	return id, nil
}

// bare is for what the pattern has been applied to.
func (i IDs) bare() IDs { return IDs{Form: i.Form} }
