package backend

import (
	"fmt"
	"net/http"
	"strings"
)

// rfc9440 reads Client-Cert, a Byte Sequence (RFC 9440 section 2.2, RFC 8941
// section 3.3.5). Whether it was verified the field does not say.
func rfc9440(h http.Header, verified bool) (*Client, error) {
	v, err := field(h, "Client-Cert")
	if err != nil {
		return nil, err
	}
	if v == "" {
		return &Client{}, nil
	}
	inner, begins := strings.CutPrefix(v, ":")
	inner, ends := strings.CutSuffix(inner, ":")
	if !begins || !ends {
		return nil, fmt.Errorf("header Client-Cert is %.20q: want a byte sequence, :BASE64:", v)
	}
	leaf, err := encodedDER(inner)
	if err != nil {
		return nil, fmt.Errorf("header Client-Cert: %w", err)
	}
	return clientOf(leaf, verified)
}
