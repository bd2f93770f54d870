package idheader

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

const (
	traefikCert = "X-Forwarded-Tls-Client-Cert"
	traefikInfo = "X-Forwarded-Tls-Client-Cert-Info"
)

// traefik is Traefik's passTLSClientCert middleware with pem and all of info:
// the certificates as base64, and their description, one after the other with
// "," between, leaf first.
//
// Traefik writes values as they are, so that a common name `x",Issuer="y` is an
// issuer. Here '"' ',' ';' '%' and controls in a value are percent-encoded before
// the whole is; every other value comes out as from Traefik.
func traefik() dialect {
	return dialect{
		name:   Traefik,
		fields: []string{traefikCert, traefikInfo},
		render: func(o *output) {
			if o.standing == nameless {
				return
			}
			if len(o.certificates()) == 0 {
				return // vouched for, by its name alone: it has no place here without a certificate
			}
			var certs []byte
			var infos []string
			for i, c := range o.certificates() {
				if i > 0 {
					certs = append(certs, ',')
				}
				certs = base64.StdEncoding.AppendEncode(certs, c.Raw)
				infos = append(infos, traefikDescription(c))
			}
			o.set(traefikCert, certs)
			if o.named() {
				o.setString(traefikInfo, url.QueryEscape(strings.Join(infos, ",")))
			}
		},
	}
}

func traefikDescription(c *x509.Certificate) string {
	var fields []string
	quoted := func(key string, values []string) {
		if len(values) > 0 {
			fields = append(fields, key+`="`+strings.Join(values, ",")+`"`)
		}
	}
	quoted("Subject", traefikName(&c.Subject, true))
	quoted("Issuer", traefikName(&c.Issuer, false)) // Traefik knows no OU of an issuer
	quoted("SerialNumber", []string{c.SerialNumber.String()})
	quoted("NB", []string{fmt.Sprint(c.NotBefore.Unix())})
	quoted("NA", []string{fmt.Sprint(c.NotAfter.Unix())})
	var sans []string
	for _, s := range c.DNSNames {
		sans = append(sans, traefikValue(s))
	}
	for _, s := range c.EmailAddresses {
		sans = append(sans, traefikValue(s))
	}
	for _, ip := range c.IPAddresses {
		sans = append(sans, ip.String())
	}
	for _, u := range c.URIs {
		sans = append(sans, traefikValue(u.String()))
	}
	quoted("SAN", sans)
	return strings.Join(fields, ";")
}

// traefikName lists n's attributes by kind, in Traefik's order.
func traefikName(n *pkix.Name, units bool) []string {
	var out []string
	add := func(key string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, key+"="+traefikValue(v))
			}
		}
	}
	for _, a := range n.Names {
		if a.Type.String() == "0.9.2342.19200300.100.1.25" {
			add("DC", fmt.Sprint(a.Value))
		}
	}
	add("C", n.Country...)
	add("ST", n.Province...)
	add("L", n.Locality...)
	add("O", n.Organization...)
	if units {
		add("OU", n.OrganizationalUnit...)
	}
	add("SN", n.SerialNumber)
	add("CN", n.CommonName)
	return out
}

func traefikValue(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || strings.IndexByte(`",;%`, c) >= 0 {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
