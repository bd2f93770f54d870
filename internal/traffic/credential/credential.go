package credential

import (
	"context"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/http1"
)

// A Credential is something that requests can show, under the name that the
// configuration has for it. It is immutable, safe for concurrent use.
type Credential struct {
	Name string
	Type string // the configuration's word: api_key, basic, jwt
	// Header is the field that has it, in small letters.
	Header string
	// Word precedes it in the field (RFC 9110 section 11.4), in small letters; ""
	// where the value is the credential itself.
	Word string
	// Forwarded: targets are shown it too.
	Forwarded bool
	Scheme    Scheme
}

// A Scheme is how one type of credential is checked. It is safe for concurrent
// use, keeps no slice it is given, and has no secret in a Failure.
type Scheme interface {
	// Quick answers what can be answered at once; done is false if it takes Verify.
	Quick(shown []byte, at Circumstances) (subject string, done bool, failed *Failure)
	// Verify answers in any case. It may compute for long, or wait, until ctx ends.
	Verify(ctx context.Context, shown []byte, at Circumstances) (subject string, failed *Failure)
	// Challenge is what WWW-Authenticate says (RFC 9110 section 11.6.1): about
	// what was shown, or with nil, for showing nothing.
	Challenge(failed *Failure) string
}

// Circumstances are what counts beside what is shown.
type Circumstances struct {
	Now time.Time
	// Certificate is the SHA-256 of the certificate whose key the client has
	// proven to hold; nil: it has shown none.
	Certificate *[32]byte
}

// A Failure says why what was shown does not hold.
type Failure struct {
	Code   countersign.Code
	Reason string // for the operator
	Hint   string // for the client, printable ASCII without quotes; "": nothing
	// Wait is when it may be worth another attempt, of failures that are the node's.
	Wait time.Duration
}

// Error returns the code with the reason.
func (f *Failure) Error() string { return string(f.Code) + ": " + f.Reason }

// Fail makes a Failure; format and args give the reason.
func Fail(code countersign.Code, format string, args ...any) *Failure {
	return &Failure{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// A Proof says who showed a credential. Its zero value proves nothing.
type Proof struct {
	credential *Credential
	subject    string
}

// Given reports whether somebody has shown something.
func (p Proof) Given() bool { return p.credential != nil }

// Subject is who it was, in the words of the credential.
func (p Proof) Subject() string { return p.subject }

// Credential is what was shown; nil of the zero Proof.
func (p Proof) Credential() *Credential { return p.credential }

// Type is that of the credential, "" of the zero Proof.
func (p Proof) Type() string {
	if p.credential == nil {
		return ""
	}
	return p.credential.Type
}

// find returns what the fields have for c; nil: nothing. In two fields there may
// be two answers to the question who it is: twice is reported, and neither counts.
func (c *Credential) find(fields []http1.Field) (shown []byte, twice bool) {
	seen := false
	for i := range fields {
		if !http1.FoldEqual(fields[i].Name, c.Header) {
			continue
		}
		if seen {
			return nil, true
		}
		seen = true
		shown = c.within(fields[i].Value)
	}
	return shown, false
}

// within returns what a value of the header has for c; nil: it has something else.
func (c *Credential) within(value []byte) []byte {
	if c.Word == "" {
		return value
	}
	n := len(c.Word)
	if len(value) < n || !http1.FoldEqual(value[:n], c.Word) || len(value) > n && value[n] != ' ' {
		return nil
	}
	for value = value[n:]; len(value) > 0 && value[0] == ' '; {
		value = value[1:]
	}
	return value
}

// carried reports whether the field has c in it.
func (c *Credential) carried(fl *http1.Field) bool {
	return http1.FoldEqual(fl.Name, c.Header) && c.within(fl.Value) != nil
}

func circumstances(client identify.Client, now time.Time) Circumstances {
	at := Circumstances{Now: now}
	if id := client.Identity(); id != nil && !client.Chain().IsZero() { // else a balancer has said who, and shown no certificate
		at.Certificate = &id.Fingerprint
	}
	return at
}
