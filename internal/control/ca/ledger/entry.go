package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// An Event is what a line of the ledger tells.
type Event string

// The events.
const (
	Issued  Event = "issued"  // Serial, Issuer, Subject, Profile, NotAfter, Certificate
	Revoked Event = "revoked" // Serial, Reason; At is the revocation date
	Listed  Event = "listed"  // Number, NextUpdate: a revocation list is about to be signed
)

// An Entry is one line. Which fields it has depends on its Event.
type Entry struct {
	Event Event     `json:"event"`
	At    time.Time `json:"at"`

	Serial   string    `json:"serial,omitempty"` // upper-case hex, an even number of digits
	Issuer   string    `json:"issuer,omitempty"` // the issuer's subject key identifier, upper-case hex
	Subject  string    `json:"subject,omitempty"`
	Profile  string    `json:"profile,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`

	Certificate []byte `json:"certificate,omitempty"` // DER
	Key         Key    `json:"-"`                     // that of Certificate: Prepare reads it
	Recorded    bool   `json:"-"`                     // in another ledger, from before: whose key it has is not asked
	Fresh       bool   `json:"-"`                     // no certificate on record may have that key
	Names       string `json:"-"`                     // with Key, where there is no Subject: the alternative names, encoded

	Reason string `json:"reason,omitempty"` // as RFC 5280 section 5.3.1 spells it

	Number     int64     `json:"number,omitempty"` // CRL number, RFC 5280 section 5.2.3
	NextUpdate time.Time `json:"next_update,omitzero"`
}

var serialForm = regexp.MustCompile(`^([0-9A-F]{2}){1,20}$`)

// parse reads one line without its newline.
func parse(line []byte) (Entry, error) {
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("not a ledger line: %w", err)
	}
	if d.More() {
		return Entry{}, errors.New("more than one JSON object on the line")
	}
	e.readKey()
	return e, e.check()
}

func (e Entry) check() error {
	if e.At.IsZero() {
		return errors.New(`"at" is missing`)
	}
	switch e.Event {
	case Issued, Revoked:
		if !serialForm.MatchString(e.Serial) {
			return fmt.Errorf(`"serial" is %q, expected 1 to 20 bytes in upper-case hex`, e.Serial)
		}
		if e.Issuer != "" && !serialForm.MatchString(e.Issuer) {
			return fmt.Errorf(`"issuer" is %q, expected a key identifier of 1 to 20 bytes in upper-case hex`, e.Issuer)
		}
	case Listed:
		if e.Number <= 0 {
			return fmt.Errorf(`"number" is %d, expected a positive number`, e.Number)
		}
		if e.Serial != "" {
			return fmt.Errorf(`"serial" is %q, expected none with a list`, e.Serial)
		}
	default:
		return fmt.Errorf(`"event" is %q, expected %q, %q or %q`, e.Event, Issued, Revoked, Listed)
	}
	return nil
}
