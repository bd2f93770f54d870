package verify

import (
	"crypto/x509"
	"fmt"
	"strings"

	"countersign.dev/internal/wire/san"
)

// claims lists the names of a leaf that filters look at, for the operator who
// wonders why none of them matches.
func claims(leaf *x509.Certificate) string {
	const most, longest = 6, 100
	var all []string
	claim := func(kind, value string) {
		if len(value) > longest {
			value = value[:longest] + "..."
		}
		all = append(all, fmt.Sprintf("%s %+q", kind, value))
	}
	for i := range leaf.Subject.Names {
		a := &leaf.Subject.Names[i]
		text, _ := a.Value.(string)
		switch {
		case a.Type.Equal(oidCommonName):
			claim("common name", text)
		case a.Type.Equal(oidOrganizationalUnit):
			claim("organizational unit", text)
		}
	}
	names := san.Of(leaf)
	for kind, value, ok := names.Next(); ok; kind, value, ok = names.Next() {
		if kind == san.DNS || kind == san.URI {
			claim(kind.String(), string(value))
		}
	}
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", more))
	}
	if len(all) == 0 {
		return "no name that a filter could match"
	}
	return strings.Join(all, ", ")
}
