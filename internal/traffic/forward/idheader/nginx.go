package idheader

import (
	"crypto/sha1"
	"encoding/hex"
	"time"
)

const (
	nginxVerify      = "X-SSL-Client-Verify"
	nginxSubject     = "X-SSL-Client-S-DN"
	nginxIssuer      = "X-SSL-Client-I-DN"
	nginxSerial      = "X-SSL-Client-Serial"
	nginxFingerprint = "X-SSL-Client-Fingerprint"
	nginxStart       = "X-SSL-Client-V-Start"
	nginxEnd         = "X-SSL-Client-V-End"
	nginxCert        = "X-SSL-Client-Escaped-Cert"
)

// nginx is what nginx.org's ngx_http_ssl_module offers as variables, under the
// names that its users give them: `proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn`.
// As there, a variable without a value sets no field.
func nginx() dialect {
	return dialect{
		name:   Nginx,
		fields: []string{nginxVerify, nginxSubject, nginxIssuer, nginxSerial, nginxFingerprint, nginxStart, nginxEnd, nginxCert},
		render: func(o *output) {
			o.setString(nginxVerify, o.verifyResult())
			if o.standing == nameless {
				return
			}
			if o.standing == vouched && len(o.certificates()) == 0 {
				o.known(nginxSubject, string(appendName(nil, o.client.Identity().Subject)))
				return
			}
			if o.named() {
				id := o.client.Identity()
				if id.Subject != "" {
					o.set(nginxSubject, appendName(nil, id.Subject))
				}
				o.set(nginxIssuer, appendName(nil, id.Issuer))
				o.setString(nginxSerial, id.Serial)
				o.setString(nginxStart, asn1Time(id.NotBefore))
				o.setString(nginxEnd, asn1Time(id.NotAfter))
			}
			leaf := o.client.Chain().Presented()[:1]
			// $ssl_client_fingerprint is SHA-1, a name for the certificate here
			// and no proof of anything.
			sum := sha1.Sum(leaf[0].Raw)
			o.setString(nginxFingerprint, hex.EncodeToString(sum[:]))
			o.set(nginxCert, appendPEM(nil, leaf, ""))
		},
	}
}

// asn1Time prints as OpenSSL's ASN1_TIME_print.
func asn1Time(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }
