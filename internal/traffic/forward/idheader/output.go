package idheader

import (
	"bytes"
	"crypto/x509"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// standing is how much may be said about a client.
type standing int

const (
	nameless standing = iota // anonymous
	shown                    // passed through: certificates may be forwarded, names not
	vouched                  // by a balancer in front, which has told a part of it perhaps
	verified
)

func standingOf(c identify.Client) standing {
	switch {
	case c.Anonymous():
		return nameless
	case c.Chain().Verified():
		return verified
	case c.Verified():
		return vouched
	}
	return shown
}

// output collects the fields of one client.
type output struct {
	dst      []byte
	size     int // of what was appended
	limits   Limits
	client   identify.Client
	conn     Connection
	standing standing
	shown    *Credential         // by the request; nil: nothing, or it is not about one
	denial   *countersign.Denial // the first one; nothing is appended after it
}

// named reports whether the client may be called by its name.
func (o *output) named() bool { return o.standing == verified || o.standing == vouched }

// set appends one field. Every field of every dialect passes here, so that this
// is the one place where a byte that could end a header line is stopped.
func (o *output) set(name string, value []byte) {
	if o.denial != nil {
		return
	}
	for _, c := range value {
		if c < 0x20 || c >= 0x7f {
			o.denial = countersign.Deny(countersign.StageForward, countersign.ClientCertInvalid,
				"header %s cannot be written: its value %q contains byte %#02x; issue the certificate with another name", name, value, c)
			return
		}
	}
	line := len(name) + len(": ") + len(value)
	if line > o.limits.Header {
		o.denial = countersign.Deny(countersign.StageForward, countersign.IdentityTooLarge,
			"header %s would be %d bytes: limits.header allows %d", name, line, o.limits.Header)
		return
	}
	if o.size += line + len("\r\n"); o.size > o.limits.Headers {
		o.denial = countersign.Deny(countersign.StageForward, countersign.IdentityTooLarge,
			"identity headers would be %d bytes with header %s of %d bytes: limits.headers allows %d", o.size, name, line, o.limits.Headers)
		return
	}
	o.dst = append(append(append(append(o.dst, name...), ": "...), value...), "\r\n"...)
}

// known sets a field of what may not be known.
func (o *output) known(name, value string) {
	if value != "" {
		o.setString(name, value)
	}
}

func (o *output) setString(name, value string) { o.set(name, []byte(value)) }

// certificates returns what may be forwarded of the chain, in the order
// presented, leaf first: all of it when it passes through; of a verified one only
// what is part of the verified path, for nobody vouches for the rest.
func (o *output) certificates() []*x509.Certificate {
	chain := o.client.Chain()
	if o.standing != verified {
		return chain.Presented()
	}
	var out []*x509.Certificate
	for _, c := range chain.Presented() {
		for _, p := range chain.Path() {
			if bytes.Equal(c.Raw, p.Raw) {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// verifyResult returns SUCCESS, NONE or FAILED:reason, as nginx's
// $ssl_client_verify, in OpenSSL's words. A client whose certificate was refused
// is never described to a target.
func (o *output) verifyResult() string {
	switch o.standing {
	case verified, vouched: // by whom is no word of nginx's: {vouched_by} says it
		return "SUCCESS"
	case nameless:
		return "NONE"
	}
	return "FAILED:unable to verify the first certificate"
}
