package idheader

import "countersign.dev"

// The fields by which a target is told of a device. No client may send them,
// anywhere.
const (
	deviceID    = "X-Device-Id"
	deviceState = "X-Device-State"
)

// Device appends to what Render made the fields that say which device the client
// is, and in which state; an empty value leaves its field out. Bytes that cannot
// stand in a field are percent-encoded. It denies as Render does.
func (p *Plan) Device(dst []byte, id, state string) ([]byte, *countersign.Denial) {
	o := output{dst: dst, size: len(dst), limits: p.limits}
	if id != "" {
		o.set(deviceID, appendText(nil, id))
	}
	if state != "" {
		o.set(deviceState, appendText(nil, state))
	}
	if o.denial != nil {
		return dst, o.denial
	}
	return o.dst, nil
}
