package answer

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/smallstep/pkcs7"

	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/traffic/respond"
)

// Problem is a refusal as the peer gets it: a problem document (RFC 9457) without
// the operator's reason.
func Problem(r *enroll.Refusal) respond.Answer {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
	}{"urn:countersign:denial:" + r.Code, r.Title, r.Status, r.Code})
	if err != nil {
		body = []byte("{}")
	}
	a := respond.Answer{Status: r.Status, Kind: "application/problem+json", Body: append(body, '\n')}
	if r.Wait > 0 {
		a.Fields = append(a.Fields, [2]string{"Retry-After", strconv.Itoa(int(math.Ceil(r.Wait.Seconds())))})
	}
	return a
}

// WrongMethod is the answer where another method was expected.
func WrongMethod(want string) respond.Answer {
	a := Problem(&enroll.Refusal{Status: 405, Code: "MethodNotAllowed", Title: "The method is not allowed."})
	a.Fields = append(a.Fields, [2]string{"Allow", want})
	return a
}

// CertsOnly is certificates as PKCS #7 in DER: SignedData that signs nothing (RFC
// 5272 section 4.1).
func CertsOnly(chain ...*x509.Certificate) ([]byte, error) {
	var all bytes.Buffer
	for _, c := range chain {
		all.Write(c.Raw)
	}
	der, err := pkcs7.DegenerateCertificate(all.Bytes())
	if err != nil {
		return nil, fmt.Errorf("encode certificates as PKCS #7: %w", err)
	}
	return der, nil
}
