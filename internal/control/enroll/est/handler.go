package est

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/answer"
	"countersign.dev/internal/traffic/respond"
)

// Root is below which the operations are (RFC 7030 section 3.2.2).
const Root = "/.well-known/est/"

// PublicPaths are those that everybody may ask.
func PublicPaths(label string) []string {
	return []string{Root + "cacerts", Root + label + "/cacerts"}
}

// RenewalPaths are those at which a certificate is renewed.
func RenewalPaths(label string) []string {
	return []string{Root + "simplereenroll", Root + label + "/simplereenroll"}
}

// A Handler answers below Root.
type Handler struct {
	Desk *enroll.Desk
	// Label names the authority in paths; without a label it is the same.
	Label string
}

// Respond is respond.Handler's.
func (h Handler) Respond(ctx context.Context, q *respond.Request) respond.Answer {
	operation, ok := strings.CutPrefix(q.Path, Root)
	if rest, labeled := strings.CutPrefix(operation, h.Label+"/"); labeled && h.Label != "" {
		operation = rest
	}
	serve := map[string]func(context.Context, *respond.Request) respond.Answer{
		"cacerts": h.caCerts, "csrattrs": h.csrAttributes, "simpleenroll": h.enroll, "simplereenroll": h.renew, "serverkeygen": h.generate,
	}[operation]
	if !ok || serve == nil {
		return problem(404, "ESTOperationUnknown", "There is no such operation, or no such label.")
	}
	want := http.MethodPost
	if operation == "cacerts" || operation == "csrattrs" {
		want = http.MethodGet
	}
	if q.Method != want {
		return answer.WrongMethod(want)
	}
	return serve(ctx, q)
}

func problem(status int, code, title string) respond.Answer {
	return answer.Problem(&enroll.Refusal{Status: status, Code: code, Title: title})
}

// caCerts is for everybody whom the listener lets in: who has no certificate yet
// has to know whom to believe (RFC 7030 section 4.1).
func (h Handler) caCerts(context.Context, *respond.Request) respond.Answer {
	chain, err := h.Desk.Authorities()
	if err != nil {
		return failed(err)
	}
	return certificates(chain)
}

func (h Handler) enroll(ctx context.Context, q *respond.Request) respond.Answer {
	r, refused := h.read(q)
	if r == nil {
		return refused
	}
	got, err := h.Desk.Enroll(ctx, *r)
	if err != nil {
		return denied(err, r)
	}
	return certificates(got.Chain)
}

func (h Handler) renew(ctx context.Context, q *respond.Request) respond.Answer {
	r, refused := h.read(q)
	if r == nil {
		return refused
	}
	r.Renew = true
	got, err := h.Desk.Enroll(ctx, *r)
	if err != nil {
		return denied(err, nil)
	}
	return certificates(got.Chain)
}

// read reads a simple PKI request (RFC 7030 section 4.2.1), with the claim in it
// (section 3.2.3, or RFC 2985 section 5.4.1).
func (h Handler) read(q *respond.Request) (*enroll.Request, respond.Answer) {
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/pkcs10" {
		return nil, problem(415, "ESTMediaType", "A request for a certificate is sent as application/pkcs10.")
	}
	der, err := decode(q.Body)
	if err != nil {
		return nil, problem(400, "EnrollmentInvalid", "The body is not a signing request in base64 (RFC 8951 section 3.1).")
	}
	r := &enroll.Request{By: enroll.Party{Client: q.Client, Chain: q.Chain, Address: q.Address}, CSR: der, Keyless: true}
	r.Secret = challenge(der)
	basic := http.Request{Header: q.Header}
	if name, password, ok := basic.BasicAuth(); ok {
		r.Device, r.Secret = name, password
	}
	return r, respond.Answer{}
}

// decode reads base64, with or without line breaks (RFC 8951 section 3.1). Some
// send DER as it is.
func decode(body []byte) ([]byte, error) {
	if len(body) > 0 && body[0] == 0x30 {
		if _, err := x509.ParseCertificateRequest(body); err == nil {
			return body, nil
		}
	}
	return base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, string(body)))
}

// encode is base64 as RFC 4648 section 4 has it, without line breaks, which
// strongSwan does not read.
func encode(der []byte) []byte { return base64.StdEncoding.AppendEncode(nil, der) }

func encoded(kind string, der []byte) respond.Answer {
	return respond.Answer{Status: 200, Kind: kind, Body: encode(der), Fields: [][2]string{{"Content-Transfer-Encoding", "base64"}}}
}

const kindCertificates = "application/pkcs7-mime; smime-type=certs-only"

// certificates is a certs-only CMC Simple PKI Response (RFC 7030 section 4.2.3).
func certificates(chain []*x509.Certificate) respond.Answer {
	der, err := answer.CertsOnly(chain...)
	if err != nil {
		return failed(err)
	}
	return encoded(kindCertificates, der)
}

// denied is a refusal; where a claim is missing, it says how it is sent.
func denied(err error, r *enroll.Request) respond.Answer {
	refusal := enroll.AsRefusal(err)
	if r != nil && r.Secret == "" && refusal.Code == "EnrollmentClaimFailed" {
		asked := *refusal
		asked.Status = 401
		a := answer.Problem(&asked)
		a.Fields = append(a.Fields, [2]string{"WWW-Authenticate", `Basic realm="device id, and its secret"`})
		return a
	}
	return answer.Problem(refusal)
}

func failed(err error) respond.Answer { return answer.Problem(enroll.AsRefusal(err)) }
