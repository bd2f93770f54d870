package idheader

import (
	"encoding/hex"
	"strings"
)

const xfccField = "X-Forwarded-Client-Cert"

// xfcc is Envoy's x-forwarded-client-cert (configuration reference, "HTTP header
// manipulation") as SANITIZE_SET with cert, subject, uri, dns: one element of
// "Key=value;Key=value", in Envoy's order. Unverified, it is Hash, Cert and Chain.
func xfcc() dialect {
	return dialect{
		name:   XFCC,
		fields: []string{xfccField},
		render: func(o *output) {
			if o.standing == nameless {
				return
			}
			id, certs := o.client.Identity(), o.certificates()
			if len(certs) == 0 { // vouched for, by its name alone
				o.set(xfccField, append(appendXFCCName([]byte(`Subject="`), id.Subject), '"'))
				return
			}
			b := append([]byte("Hash="), hex.EncodeToString(id.Fingerprint[:])...)
			b = append(b, `;Cert="`...)
			b = append(appendPEM(b, certs[:1], ""), '"')
			if o.standing == shown {
				if len(certs) > 1 {
					b = append(b, `;Chain="`...)
					b = append(appendPEM(b, certs, ""), '"')
				}
				o.set(xfccField, b)
				return
			}
			b = append(b, `;Subject="`...)
			b = append(appendXFCCName(b, id.Subject), '"')
			for _, uri := range id.URIs {
				b = appendXFCCValue(append(b, ";URI="...), uri)
			}
			if len(id.URIs) == 0 {
				b = append(b, ";URI="...) // Envoy keeps the key
			}
			for _, name := range id.DNSNames {
				b = appendXFCCValue(append(b, ";DNS="...), name)
			}
			o.set(xfccField, b)
		},
	}
}

// appendXFCCValue quotes where the format asks for it: around "," ";" "=". A
// quote or a backslash cannot be in s, identify refuses such names.
func appendXFCCValue(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ` ,;="\`) {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendXFCCName appends a name as dn.String printed it for use between quotes.
//
// Envoy's format escapes the quote alone, parsers differ in what they make of a
// backslash: some keep it, some drop it. Under the latter O="x,CN=admin", printed
// O=x\,CN=admin, would gain a CN. So the characters that can mislead either kind
// are written as the hex pair that RFC 2253 section 2.4 also allows: the quote,
// the backslash, the semicolon, and "=" within a value. What remains, `\,` and
// its like, is as Envoy prints it and can at worst lose its backslash.
func appendXFCCName(b []byte, name string) []byte {
	inValue := false
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\\' && strings.IndexByte(`"\;`, name[i+1]) >= 0:
			i++
			b = append(b, '\\')
			b = append(b, upperHex[name[i]>>4], upperHex[name[i]&15])
		case c == '\\':
			i++
			b = append(b, c, name[i])
		case c == '=' && inValue:
			b = append(b, `\3D`...)
		default:
			if c == '=' {
				inValue = true
			} else if c == ',' || c == '+' {
				inValue = false
			}
			b = append(b, c)
		}
	}
	return b
}
