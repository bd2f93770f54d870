package backend

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// nginx reads the variables of ngx_http_ssl_module, under the names X-SSL-Client-...
func nginx(h http.Header) (*Client, error) {
	const prefix = "X-SSL-Client-"
	values := map[string]string{}
	for _, name := range []string{"Verify", "S-DN", "I-DN", "Serial", "Escaped-Cert"} {
		v, err := field(h, prefix+name)
		if err != nil {
			return nil, err
		}
		values[name] = v
	}
	verify := values["Verify"]
	switch {
	case verify == "NONE":
		if values["S-DN"] != "" || values["Escaped-Cert"] != "" {
			return nil, errors.New("header " + prefix + "Verify is NONE, and others describe a client")
		}
		return &Client{}, nil
	case verify != "SUCCESS" && !strings.HasPrefix(verify, "FAILED:"):
		return nil, fmt.Errorf("header %sVerify is %q: want SUCCESS, NONE or FAILED:...", prefix, verify)
	}
	certificate, err := oneEscapedPEM(values["Escaped-Cert"])
	if err != nil {
		return nil, fmt.Errorf("header %sEscaped-Cert: %w", prefix, err)
	}
	c, err := clientOf(certificate, verify == "SUCCESS")
	if err != nil || !c.Verified {
		return c, err
	}
	return c, errors.Join(same("subject", values["S-DN"], c.Subject), same("issuer", values["I-DN"], c.Issuer), same("serial number", values["Serial"], c.Serial))
}
