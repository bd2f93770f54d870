package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An Enrollment is what stands between a device and its certificate.
type Enrollment struct {
	Device       string     `json:"device"`
	Claim        string     `json:"claim" enum:"secret,key,approval,none" doc:"How the device shows that it is the one."`
	HasSecret    bool       `json:"has_secret" doc:"A secret was set, with the claim secret."`
	Key          string     `json:"key,omitempty" doc:"sha256:HEX of the SubjectPublicKeyInfo that is pinned, or was approved."`
	HasBundle    bool       `json:"has_bundle" doc:"A finished bundle was uploaded, and was not fetched yet."`
	Waiting      []Waiting  `json:"waiting" nullable:"false" doc:"Who waits for approval."`
	TakenBy      string     `json:"taken_by,omitempty" doc:"sha256:HEX of the key that the certificate is for. Absent: nobody has come for it."`
	Delivered    *time.Time `json:"delivered,omitempty" doc:"When the certificate was handed out first. Absent: never."`
	Acknowledged *time.Time `json:"acknowledged,omitempty" doc:"When it was used first. Absent: never."`
}

// Waiting is somebody who waits for approval.
type Waiting struct {
	Key     string    `json:"key" doc:"sha256:HEX of the SubjectPublicKeyInfo."`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
}

// A Claim is how a device is to show that it is the one.
type Claim struct {
	Claim  string `json:"claim" enum:"secret,key,approval,none"`
	Secret string `json:"secret,omitempty" maxLength:"256" doc:"With the claim secret: 16 letters or more. Absent: one is made."`
	Key    string `json:"key,omitempty" maxLength:"65536" doc:"With the claim key: sha256:HEX of the SubjectPublicKeyInfo; or a public key, a certificate or a signing request in PEM."`
	Why    string `json:"why,omitempty" doc:"The trail keeps it."`
}

// A ClaimSet is what became of a Claim.
type ClaimSet struct {
	Enrollment
	Secret string `json:"secret,omitempty" doc:"The secret, which is told this once. Absent: there is none."`
}

// An Approval says which of those who wait is the device.
type Approval struct {
	Key string `json:"key" maxLength:"65536" doc:"sha256:HEX of its SubjectPublicKeyInfo; empty: none of them."`
	Why string `json:"why,omitempty" doc:"The trail keeps it."`
}

// A Bundle is a finished certificate with its key.
type Bundle struct {
	PEM string `json:"pem" maxLength:"262144" doc:"The certificate, those behind it, and the private key, not encrypted."`
	Why string `json:"why,omitempty" doc:"The trail keeps it."`
}

// Enrollments returns those that wait for approval, in the order of the devices.
func (c *Client) Enrollments(ctx context.Context) iter.Seq2[Enrollment, error] {
	return all[Enrollment](ctx, c, "/v1/enrollments", url.Values{"limit": {strconv.Itoa(1000)}})
}

func enrollmentOf(id, what string) string { return "/v1/devices/" + url.PathEscape(id) + "/" + what }

// Enrollment returns that of one device.
func (c *Client) Enrollment(ctx context.Context, id string) (*Enrollment, error) {
	var e Enrollment
	return &e, c.do(ctx, http.MethodGet, enrollmentOf(id, "enrollment"), nil, nil, &e)
}

// SetClaim says how a device shows that it is the one.
func (c *Client) SetClaim(ctx context.Context, id string, claim Claim) (*ClaimSet, error) {
	var set ClaimSet
	return &set, c.do(ctx, http.MethodPut, enrollmentOf(id, "claim"), nil, claim, &set)
}

// Approve says which of those who wait is the device.
func (c *Client) Approve(ctx context.Context, id string, a Approval) (*Enrollment, error) {
	var e Enrollment
	return &e, c.do(ctx, http.MethodPut, enrollmentOf(id, "approval"), nil, a, &e)
}

// UploadBundle keeps a finished certificate with its key for a device, which is
// handed them once.
func (c *Client) UploadBundle(ctx context.Context, id string, b Bundle) (*Enrollment, error) {
	var e Enrollment
	return &e, c.do(ctx, http.MethodPut, enrollmentOf(id, "bundle"), nil, b, &e)
}
