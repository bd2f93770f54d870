package holder

import (
	"fmt"
	"net/url"
	"strings"

	"countersign.dev/internal/control/secret"
)

// A token is what a PKCS #11 URI says (RFC 7512 section 2.3).
type token struct {
	label  string // of the token
	object string // label of the key
	module string // path of the library
	pin    string
}

// parseToken reads a URI. Attributes that would choose a key and are not known
// here are refused: another key would sign.
func parseToken(uri string) (token, error) {
	var t token
	path, query, _ := strings.Cut(strings.TrimPrefix(uri, "pkcs11:"), "?")
	set := func(part, separator string, known map[string]*string) error {
		for attribute := range strings.SplitSeq(part, separator) {
			if attribute == "" {
				continue
			}
			name, raw, _ := strings.Cut(attribute, "=")
			value, err := url.PathUnescape(raw)
			target := known[name]
			if err != nil || target == nil || *target != "" || value == "" {
				return fmt.Errorf("the key's URI has %s, which is unknown, empty or twice: expected pkcs11:token=NAME;object=NAME?module-path=LIBRARY&pin-source=FILE", name)
			}
			*target = value
		}
		return nil
	}
	var kind, source string
	if err := set(path, ";", map[string]*string{"token": &t.label, "object": &t.object, "type": &kind}); err != nil {
		return token{}, err
	}
	if err := set(query, "&", map[string]*string{"module-path": &t.module, "pin-value": &t.pin, "pin-source": &source}); err != nil {
		return token{}, err
	}
	switch {
	case t.label == "" || t.object == "" || t.module == "":
		return token{}, fmt.Errorf("the key's URI lacks token, object or module-path: expected pkcs11:token=NAME;object=NAME?module-path=LIBRARY&pin-source=FILE")
	case kind != "" && kind != "private":
		return token{}, fmt.Errorf("the key's URI has type=%s: expected type=private, or none", kind)
	case (t.pin == "") == (source == ""):
		return token{}, fmt.Errorf("the key's URI has pin-source and pin-value both, or neither: expected pin-source=FILE")
	case source != "":
		file := strings.TrimPrefix(source, "file:")
		pin, err := secret.Read(file, secret.Disclosed(file))
		if err != nil {
			return token{}, fmt.Errorf("the token's PIN: %w", err)
		}
		t.pin, _, _ = strings.Cut(string(pin), "\n")
	}
	return t, nil
}
