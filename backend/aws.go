package backend

import (
	"errors"
	"fmt"
	"net/http"
)

// aws reads the fields of an Application Load Balancer: the leaf with its names of
// a verified client, the chain alone of one that passes through.
func aws(h http.Header) (*Client, error) {
	const prefix = "X-Amzn-Mtls-Clientcert"
	values := map[string]string{}
	for _, name := range []string{"", "-Leaf", "-Subject", "-Issuer", "-Serial-Number"} {
		v, err := field(h, prefix+name)
		if err != nil {
			return nil, err
		}
		values[name] = v
	}
	leaf, chain := values["-Leaf"], values[""]
	switch {
	case leaf != "" && chain != "":
		return nil, errors.New("headers " + prefix + " and " + prefix + "-Leaf are both there: want one of them")
	case chain != "":
		certificates, err := escapedPEM(chain)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", prefix, err)
		}
		return clientOf(certificates[0], false)
	case leaf == "":
		if values["-Subject"] != "" || values["-Issuer"] != "" || values["-Serial-Number"] != "" {
			return nil, errors.New("headers name a client, and " + prefix + "-Leaf is missing")
		}
		return &Client{}, nil
	}
	certificate, err := oneEscapedPEM(leaf)
	if err != nil {
		return nil, fmt.Errorf("header %s-Leaf: %w", prefix, err)
	}
	c, err := clientOf(certificate, true)
	if err != nil {
		return nil, err
	}
	return c, errors.Join(same("subject", values["-Subject"], c.Subject), same("issuer", values["-Issuer"], c.Issuer), same("serial number", values["-Serial-Number"], c.Serial))
}
