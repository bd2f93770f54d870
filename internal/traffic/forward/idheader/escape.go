package idheader

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// appendPEM appends certs as PEM, one block after the other, each with its final
// line end, percent-encoded but for RFC 3986's unreserved characters and safe.
func appendPEM(dst []byte, certs []*x509.Certificate, safe string) []byte {
	for _, cert := range certs {
		for _, c := range pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) {
			if alphanumeric(c) || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(safe, c) >= 0 {
				dst = append(dst, c)
			} else {
				dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			}
		}
	}
	return dst
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// appendName appends a name as dn.String printed it. A space at its very end is
// written \20, as RFC 2253 section 2.4 allows: readers of a header field drop the
// space of "\ " and would be left with a backslash.
func appendName(dst []byte, name string) []byte {
	if trimmed, ok := strings.CutSuffix(name, `\ `); ok {
		return append(append(dst, trimmed...), `\20`...)
	}
	return append(dst, name...)
}

// appendText appends s, UTF-8 or anything, so that it can neither end a header
// field nor be taken for several values of a list, nor for the end of a quoted
// one: controls, bytes >= 0x7f, '%' '"' '\' ',' ';' and a space at either end
// are percent-encoded. Decoding once gives s back.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c >= 0x7f || strings.IndexByte(`%"\,;`, c) >= 0 || c == ' ' && (i == 0 || i == len(s)-1) {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendList appends values with "," between.
func appendList(dst []byte, values []string) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, v)
	}
	return dst
}
