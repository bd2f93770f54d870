package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/control/enroll"
)

// Enrollments are how devices get their certificates.
type Enrollments struct{ Desk *enroll.Desk }

func (s Enrollments) register(a *API) {
	operation(a, http.MethodGet, "/enrollments", "list-enrollments", "Devices that wait for approval", s.list)
	operation(a, http.MethodGet, "/devices/{id}/enrollment", "get-enrollment", "How a device gets its certificate", s.show)
	operation(a, http.MethodPut, "/devices/{id}/claim", "set-claim", "Say how a device shows that it is the one", s.claim)
	operation(a, http.MethodPut, "/devices/{id}/approval", "approve-device", "Say who of those who wait is the device", s.approve)
	operation(a, http.MethodPut, "/devices/{id}/bundle", "upload-bundle", "Keep a finished certificate with its key for a device", s.upload)
}

// A DevicePath names the device.
type DevicePath struct {
	ID string `path:"id" maxLength:"256"`
}

func (s Enrollments) list(ctx context.Context, in *struct{ Paging }) (*client.Page[client.Enrollment], error) {
	waiting, err := s.Desk.Waiting(ctx, in.After, in.Limit+1)
	if err != nil {
		return nil, deviceProblem(err)
	}
	page := &client.Page[client.Enrollment]{Items: []client.Enrollment{}}
	if len(waiting) > in.Limit {
		waiting = waiting[:in.Limit]
		page.Next = waiting[in.Limit-1].Device
	}
	for _, v := range waiting {
		page.Items = append(page.Items, enrollmentOf(v))
	}
	return page, nil
}

func (s Enrollments) show(ctx context.Context, in *DevicePath) (*client.Enrollment, error) {
	v, err := s.Desk.View(ctx, in.ID)
	if err != nil {
		return nil, deviceProblem(err)
	}
	out := enrollmentOf(v)
	return &out, nil
}

func (s Enrollments) claim(ctx context.Context, in *struct {
	DevicePath
	Body client.Claim
}) (*client.ClaimSet, error) {
	secret, err := s.Desk.SetClaim(ctx, authorOf(ctx, in.Body.Why), in.ID,
		enroll.ClaimChange{Claim: enroll.Claim(in.Body.Claim), Secret: in.Body.Secret, Key: in.Body.Key})
	if err != nil {
		return nil, deviceProblem(err)
	}
	e, err := s.show(ctx, &in.DevicePath)
	if err != nil {
		return nil, err
	}
	return &client.ClaimSet{Enrollment: *e, Secret: secret}, nil
}

func (s Enrollments) approve(ctx context.Context, in *struct {
	DevicePath
	Body client.Approval
}) (*client.Enrollment, error) {
	if err := s.Desk.Approve(ctx, authorOf(ctx, in.Body.Why), in.ID, in.Body.Key); err != nil {
		return nil, deviceProblem(err)
	}
	return s.show(ctx, &in.DevicePath)
}

func (s Enrollments) upload(ctx context.Context, in *struct {
	DevicePath
	Body client.Bundle
}) (*client.Enrollment, error) {
	if err := s.Desk.Upload(ctx, authorOf(ctx, in.Body.Why), in.ID, []byte(in.Body.PEM)); err != nil {
		return nil, deviceProblem(err)
	}
	return s.show(ctx, &in.DevicePath)
}

func enrollmentOf(v enroll.View) client.Enrollment {
	e := client.Enrollment{Device: v.Device, Claim: string(v.Claim), HasSecret: v.HasSecret, HasBundle: v.HasBundle,
		Key: keyOf(v.Key), TakenBy: keyOf(v.Taken), Waiting: []client.Waiting{}}
	for _, asked := range v.Asked {
		e.Waiting = append(e.Waiting, client.Waiting{Key: keyOf(asked.Key), Address: asked.Address, Since: asked.At})
	}
	for to, from := range map[**time.Time]time.Time{&e.Delivered: v.Delivered, &e.Acknowledged: v.Acknowledged} {
		if !from.IsZero() {
			*to = &from
		}
	}
	return e
}

func keyOf(digest []byte) string {
	if digest == nil {
		return ""
	}
	return "sha256:" + hex.EncodeToString(digest)
}
