package initialize

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/answer"
	"countersign.dev/internal/traffic/respond"
)

// The media types of certificates: a chain in PEM (RFC 8555 section 9.1), and
// PKCS #7 (RFC 8551 section 3.2.2).
const (
	kindPEM   = "application/pem-certificate-chain"
	kindPKCS7 = "application/pkcs7-mime"
)

// A Handler answers the message by which a device asks for its certificate: POST
// of {"device_id": "...", "csr": "PEM", "claim": "..."}.
type Handler struct{ Desk *enroll.Desk }

// message is the body. Further members are for others.
type message struct {
	DeviceID string `json:"device_id"`
	CSR      string `json:"csr"`
	Claim    string `json:"claim"`
}

// Respond is respond.Handler's.
func (h Handler) Respond(ctx context.Context, q *respond.Request) respond.Answer {
	if q.Method != http.MethodPost {
		return answer.WrongMethod(http.MethodPost)
	}
	pkcs7, ok := prefersPKCS7(q.Header)
	if !ok {
		return refused(406, "EnrollmentNotAcceptable", "Certificates are sent as "+kindPEM+" or "+kindPKCS7+".")
	}
	r := enroll.Request{By: enroll.Party{Client: q.Client, Chain: q.Chain, Address: q.Address}, Keyless: pkcs7}
	if len(q.Body) > 0 {
		var m message
		if err := json.Unmarshal(q.Body, &m); err != nil {
			return refused(400, "EnrollmentInvalid", `The body is not the JSON {"device_id": "...", "csr": "...", "claim": "..."}.`)
		}
		r.Device, r.Secret = m.DeviceID, m.Claim
		if m.CSR != "" {
			r.CSR = []byte(m.CSR)
		}
	}
	got, err := h.Desk.Enroll(ctx, r)
	if err != nil {
		return answer.Problem(enroll.AsRefusal(err))
	}
	if !pkcs7 {
		return respond.Answer{Status: 200, Kind: kindPEM, Body: append(pemfile.EncodeCertificates(got.Chain...), got.Key...)}
	}
	der, err := answer.CertsOnly(got.Chain...)
	if err != nil {
		return answer.Problem(enroll.AsRefusal(err))
	}
	return respond.Answer{Status: 200, Kind: kindPKCS7 + "; smime-type=certs-only", Body: der}
}

func refused(status int, code, title string) respond.Answer {
	return answer.Problem(&enroll.Refusal{Status: status, Code: code, Title: title})
}

// prefersPKCS7 reads Accept (RFC 9110 section 12.5.1): PEM, unless PKCS #7 has more
// weight. ok: one of them will do.
func prefersPKCS7(h http.Header) (pkcs7, ok bool) {
	accept := h.Values("Accept")
	if len(accept) == 0 {
		return false, true
	}
	weight := map[string]float64{}
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		q := 1.0
		if text, there := parameters["q"]; there {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		weight[kind] = q
	}
	of := func(kinds ...string) float64 {
		for _, k := range kinds {
			if q, there := weight[k]; there {
				return q
			}
		}
		return 0
	}
	inPEM := of(kindPEM, "application/x-pem-file", "application/*", "*/*")
	in7 := of(kindPKCS7, "application/*", "*/*")
	return in7 > inPEM, max(inPEM, in7) > 0
}
