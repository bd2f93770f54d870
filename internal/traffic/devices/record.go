package devices

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"countersign.dev"
)

// A Register knows devices. Its methods are safe for concurrent use.
type Register interface {
	// Hold returns the record of the device with that id, which is kept up to date
	// until Release. It never waits: what is not known yet is being asked for.
	Hold(id string) *Record
	// Release is called once for each Hold.
	Release(*Record)
	// Await waits until something is known of the device, or it has turned out that
	// nothing can be learned at the moment, or ctx ends.
	Await(ctx context.Context, r *Record)
	// Seen is told now and then that the device has sent a request, and from where.
	// It never waits.
	Seen(r *Record, at time.Time, from netip.Addr)
}

// A Record is one device, for those who hold it.
type Record struct {
	id    string
	known atomic.Pointer[Knowledge]
}

// NewRecord makes the record of a device of which nothing is known yet.
func NewRecord(id string) *Record { return &Record{id: id} }

// ID is the device's.
func (r *Record) ID() string { return r.id }

// Known is what is known of the device; nil: nothing yet.
func (r *Record) Known() *Knowledge { return r.known.Load() }

// Learn replaces what is known. k must not change any more.
func (r *Record) Learn(k *Knowledge) { r.known.Store(k) }

// A Knowledge is what decides about a device.
type Knowledge struct {
	// State is empty where no such device was provisioned.
	State countersign.State
	// Credentials are those certificates of the device that are recorded. One that
	// is not recorded may be used as well.
	Credentials []Credential
	// CutOff is when the device was last revoked or retired: certificates from
	// before it are worth nothing, unless they are recorded as valid. Zero: never.
	CutOff time.Time
}

// A Credential is one recorded certificate.
type Credential struct {
	Fingerprint [32]byte // the SHA-256 of its DER
	Revoked     bool
}

// Equal reports whether two say the same.
func (k *Knowledge) Equal(other *Knowledge) bool {
	return k.State == other.State && k.CutOff.Equal(other.CutOff) && slices.Equal(k.Credentials, other.Credentials)
}

// revoked says why the certificate is worth nothing any more; "" if it is.
func (k *Knowledge) revoked(c *countersign.Identity) string {
	for i := range k.Credentials {
		if own := &k.Credentials[i]; own.Fingerprint == c.Fingerprint {
			if own.Revoked {
				return "it is recorded as revoked"
			}
			return ""
		}
	}
	if c.NotBefore.Before(k.CutOff) {
		return "it begins on " + c.NotBefore.UTC().Format(time.RFC3339) + ", the device was cut off on " + k.CutOff.UTC().Format(time.RFC3339)
	}
	return ""
}
