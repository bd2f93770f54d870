package store

import (
	"context"
	"time"

	"countersign.dev"
)

// An Enrollment is what stands between a device and its first certificate, and
// what became of it. It ends with the device's credentials.
type Enrollment struct {
	Device string
	// Claim is how the device shows that it is the one that is meant: secret, key,
	// approval, none; "": as the configuration says.
	Claim string
	// Secret is what its secret is compared with; nil: there is none.
	Secret []byte
	// Key is the SHA-256 of the SubjectPublicKeyInfo that is expected, or was
	// approved; nil: none is.
	Key []byte
	// Asked are those who wait for approval, the first first.
	Asked []Asked
	// Chain is the certificate with those behind it, in PEM: what an operator has
	// uploaded, or what was issued.
	Chain []byte
	// SealedKey is the uploaded key; nil: there is none, or it was handed out.
	SealedKey []byte
	// Taken is the SHA-256 of the SubjectPublicKeyInfo to which the delivery belongs,
	// from before the certificate is issued; nil: nobody has come for it yet.
	Taken []byte
	// Fingerprint of the certificate that was delivered; nil: none was.
	Fingerprint []byte
	// Delivered is when the certificate was handed out for the first time,
	// Acknowledged when it was used for the first time.
	Delivered    time.Time
	Acknowledged time.Time
}

// Asked is somebody who waits for approval.
type Asked struct {
	Key     []byte    `json:"key"` // SHA-256 of the SubjectPublicKeyInfo
	Address string    `json:"address"`
	At      time.Time `json:"at"`
}

// Enrollments keeps how devices get their certificates.
type Enrollments interface {
	// Enrollment returns that of a device, empty where nothing was kept yet. A device
	// that does not exist is ErrUnknown.
	Enrollment(ctx context.Context, device string) (Enrollment, error)
	// Enroll lets edit alter an enrollment, with its device, while nobody else does,
	// and keeps what it makes of it. An error of edit is returned as it is, and
	// nothing is kept. edit must not use the store. ErrExists: the key or the
	// credential is known already.
	Enroll(ctx context.Context, device string, edit func(*EnrollmentDraft) error) (Enrollment, error)
	// Waiting returns at most limit enrollments behind a device that wait for
	// approval, in the order of the devices.
	Waiting(ctx context.Context, after string, limit int) ([]Enrollment, error)
	// Acknowledge notes that a certificate was used, if it is one that was delivered
	// and not used yet.
	Acknowledge(ctx context.Context, fingerprint [32]byte, at time.Time) error
}

// An EnrollmentDraft is an enrollment that is being altered.
type EnrollmentDraft struct {
	Draft      // kept, with its entry of the trail, if Entry.What says something
	Enrollment Enrollment
	// Credential, unless nil, is added.
	Credential *countersign.Credential
	// NewKey, unless nil, is the SHA-256 of a SubjectPublicKeyInfo that the device is
	// about to have certified. One that another device has or had, or that the device
	// had when its credentials were ended, is ErrExists.
	NewKey []byte
}
