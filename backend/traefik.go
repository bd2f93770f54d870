package backend

import (
	"fmt"
	"net/http"
	"strings"
)

// traefik reads the fields of passTLSClientCert. The gateway sends the description
// of verified clients alone; what it says is in the certificate too.
func traefik(h http.Header) (*Client, error) {
	certificates, err := field(h, "X-Forwarded-Tls-Client-Cert")
	if err != nil {
		return nil, err
	}
	info, err := field(h, "X-Forwarded-Tls-Client-Cert-Info")
	if err != nil {
		return nil, err
	}
	switch {
	case certificates == "" && info == "":
		return &Client{}, nil
	case certificates == "":
		return nil, fmt.Errorf("header X-Forwarded-Tls-Client-Cert-Info is there without X-Forwarded-Tls-Client-Cert")
	}
	first, _, _ := strings.Cut(certificates, ",")
	leaf, err := encodedDER(first)
	if err != nil {
		return nil, fmt.Errorf("header X-Forwarded-Tls-Client-Cert: %w", err)
	}
	return clientOf(leaf, info != "")
}
