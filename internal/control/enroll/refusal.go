package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/store"
)

// A Refusal is why there is no certificate, or none yet (Status 202).
type Refusal struct {
	Status int // of HTTP
	// Code is for programs, Title is what the peer is told, Reason is the operator's.
	Code, Title, Reason string
	// Wait is when to come again; 0: not to.
	Wait time.Duration
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Reason }

func refuse(status int, code, title, reason string, args ...any) *Refusal {
	return &Refusal{Status: status, Code: code, Title: title, Reason: fmt.Sprintf(reason, args...)}
}

func (r *Refusal) after(wait time.Duration) *Refusal {
	r.Wait = max(wait, time.Second)
	return r
}

// AsRefusal makes one of whatever went wrong; nil of nil.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return r
	case errors.Is(err, store.ErrUnknown):
		return refuse(404, "DeviceNotProvisioned", "The device is not provisioned.", "it is not in the registry; countersign device add provisions it")
	case errors.Is(err, store.ErrExists):
		return refuse(409, "EnrollmentKeyConflict", "The key cannot be certified for this device.",
			"the key is, or was, another device's, or this device had it when it was revoked: let the device make a new one")
	case ledger.KeyConflict(err):
		return refuse(409, "EnrollmentKeyConflict", "The key cannot be certified for this device.", "%v", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(503, "EnrollmentUnavailable", "No certificate can be issued at the moment.", "it took too long (%v); look at the store", err).after(10 * time.Second)
	}
	return refuse(503, "EnrollmentUnavailable", "No certificate can be issued at the moment.", "%v", err).after(10 * time.Second)
}

func invalid(reason string, args ...any) *Refusal {
	return refuse(400, "EnrollmentInvalid", "The request for a certificate is not one that can be answered.", reason, args...)
}

func notReady(wait time.Duration, reason string, args ...any) *Refusal {
	return refuse(202, "DeviceNotReady", "There is no certificate for the device yet.", reason, args...).after(wait)
}

func claimFailed(reason string, args ...any) *Refusal {
	return refuse(403, "EnrollmentClaimFailed", "The device has not shown that it is the one that is meant.", reason, args...)
}

func delivered(reason string, args ...any) *Refusal {
	return refuse(403, "EnrollmentDelivered", "The device has its certificate already.", reason, args...)
}

func notOwn(reason string, args ...any) *Refusal {
	return refuse(403, "EnrollmentCertificateRefused", "The certificate that was presented is not good for this.", reason, args...)
}
