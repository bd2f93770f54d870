package idheader

import "time"

const (
	awsChain    = "X-Amzn-Mtls-Clientcert"
	awsSerial   = "X-Amzn-Mtls-Clientcert-Serial-Number"
	awsIssuer   = "X-Amzn-Mtls-Clientcert-Issuer"
	awsSubject  = "X-Amzn-Mtls-Clientcert-Subject"
	awsValidity = "X-Amzn-Mtls-Clientcert-Validity"
	awsLeaf     = "X-Amzn-Mtls-Clientcert-Leaf"
)

// aws is the Application Load Balancer's mutual TLS (user guide, "Mutual
// authentication with TLS"): five fields in verify mode, one in passthrough.
// Field reports agree with its prose that "+", "=", "/" stay literal, against one
// of its examples.
func aws() dialect {
	return dialect{
		name:   AWS,
		fields: []string{awsChain, awsSerial, awsIssuer, awsSubject, awsValidity, awsLeaf},
		render: func(o *output) {
			switch o.standing {
			case shown:
				o.set(awsChain, appendPEM(nil, o.certificates(), "+=/"))
			case vouched:
				o.known(awsSerial, o.client.Identity().Serial)
				o.known(awsIssuer, string(appendName(nil, o.client.Identity().Issuer)))
				o.known(awsSubject, string(appendName(nil, o.client.Identity().Subject)))
				if certs := o.certificates(); len(certs) > 0 {
					id := o.client.Identity()
					o.setString(awsValidity, "NotBefore="+iso8601(id.NotBefore)+";NotAfter="+iso8601(id.NotAfter))
					o.set(awsLeaf, appendPEM(nil, certs[:1], "+=/"))
				}
			case verified:
				id := o.client.Identity()
				o.setString(awsSerial, id.Serial)
				o.set(awsIssuer, appendName(nil, id.Issuer))
				o.set(awsSubject, appendName(nil, id.Subject))
				o.setString(awsValidity, "NotBefore="+iso8601(id.NotBefore)+";NotAfter="+iso8601(id.NotAfter))
				o.set(awsLeaf, appendPEM(nil, o.client.Chain().Presented()[:1], "+=/"))
			}
		},
	}
}

func iso8601(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
