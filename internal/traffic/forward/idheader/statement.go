package idheader

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// A Statement is the field that has the token of one client for one target
// group. The zero Statement holds at no time.
type Statement struct {
	field       []byte // "Name: value\r\n"
	from, until int64  // Unix seconds between which it may be sent
}

// Field is "Name: value\r\n". It must not be changed.
func (s *Statement) Field() []byte { return s.field }

// Holds reports whether s may still be sent at that moment. It stops to at half
// of its lifetime, so that what is sent has the other half to arrive; and when
// the clock was set back before the token's iat.
func (s *Statement) Holds(now time.Time) bool {
	at := now.Unix()
	return s.from <= at && at < s.until
}

// Device is what a statement says of the client's device.
type Device struct {
	ID    string `json:"id"`
	State string `json:"state,omitempty"`
}

// States reports whether targets get a token, by State.
func (p *Plan) States() bool { return p != nil && p.token != nil }

// claims is the payload of a token. What the certificate says is said of a
// verified client alone; of one that passed through there is but the digest, and
// of an anonymous one that it is.
type claims struct {
	Issuer       string        `json:"iss"`
	Subject      string        `json:"sub,omitempty"`
	Audience     string        `json:"aud"`
	IssuedAt     int64         `json:"iat"`
	Expires      int64         `json:"exp"`
	Verified     bool          `json:"verified"`
	VouchedBy    string        `json:"vouched_by,omitempty"` // the balancer in front that said so
	Confirmation *confirmation `json:"cnf,omitempty"`
	Certificate  *certificate  `json:"certificate,omitempty"`
	Device       *Device       `json:"device,omitempty"`
	Credential   *Credential   `json:"credential,omitempty"`
}

// confirmation is the claim of RFC 8705 section 3.1.
type confirmation struct {
	Thumbprint string `json:"x5t#S256"` // base64url of the SHA-256 of the certificate's DER
}

type certificate struct {
	Subject   string       `json:"subject"`
	Issuer    string       `json:"issuer"`
	Serial    string       `json:"serial"`
	NotBefore int64        `json:"not_before"` // Unix seconds, as those of RFC 7519 section 2
	NotAfter  int64        `json:"not_after"`
	CN        []string     `json:"cn,omitempty"`
	OU        []string     `json:"ou,omitempty"`
	DNS       []string     `json:"san_dns,omitempty"`
	URI       []string     `json:"san_uri,omitempty"`
	Email     []string     `json:"san_email,omitempty"`
	IP        []netip.Addr `json:"san_ip,omitempty"`
}

// Claims returns the payload of the token that States says targets of that group
// get, as JSON. The zero Device is none, and so is the zero Credential.
func (p *Plan) Claims(client identify.Client, device Device, shown Credential, group string, now time.Time) ([]byte, error) {
	c := claims{
		Issuer: p.token.Issuer, Audience: p.token.Audience, IssuedAt: now.Unix(),
		Expires: now.Unix() + int64(p.token.Lifetime/time.Second), Verified: client.Verified(),
	}
	if c.Audience == "" {
		c.Audience = group
	}
	id := client.Identity()
	if id != nil && id.Fingerprint != ([32]byte{}) { // else its name alone was vouched for
		c.Confirmation = &confirmation{base64.RawURLEncoding.EncodeToString(id.Fingerprint[:])}
	}
	if client.Verified() {
		c.Subject = id.Subject
	}
	if by := client.VouchedBy(); by.IsValid() {
		c.VouchedBy = by.String()
	}
	if client.Verified() && c.Confirmation != nil {
		c.Certificate = &certificate{
			Subject: id.Subject, Issuer: id.Issuer, Serial: id.Serial, NotBefore: id.NotBefore.Unix(), NotAfter: id.NotAfter.Unix(),
			CN: id.CommonNames, OU: id.OrganizationalUnits, DNS: id.DNSNames, URI: id.URIs, Email: id.Emails, IP: id.IPs,
		}
	}
	if device != (Device{}) {
		c.Device = &device
	}
	if shown != (Credential{}) {
		c.Credential = &shown
	}
	return json.Marshal(c)
}

// State signs the Statement for a target group, of a client of whom other fields
// take that many bytes. It denies as Render does.
func (p *Plan) State(client identify.Client, device Device, shown Credential, group string, rendered int, now time.Time) (Statement, *countersign.Denial) {
	if !client.Known() || p.token.Signer == nil {
		return Statement{}, countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"a token was asked for a client that the identify stage did not make, or without keys; this is a fault in countersign, please report it")
	}
	payload, err := p.Claims(client, device, shown, group, now)
	if err != nil {
		return Statement{}, unsigned(err)
	}
	token, err := p.token.Signer.Sign(payload)
	if err != nil {
		return Statement{}, unsigned(err)
	}
	o := output{size: rendered, limits: p.limits}
	if o.setString(p.token.Header, token); o.denial != nil {
		return Statement{}, o.denial
	}
	return Statement{field: o.dst, from: now.Unix(), until: now.Unix() + int64(p.token.Lifetime/time.Second)/2}, nil
}

func unsigned(err error) *countersign.Denial {
	return countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
		"the token that tells targets of the client cannot be signed: %v; look at the program log for what became of the node's keys", err)
}
