package health

import (
	"context"
	"errors"
	"io"
)

// tlsCheck is well if the target finishes a TLS handshake, and accepts the
// certificate that it is shown.
type tlsCheck struct{ door }

func (t tlsCheck) Check(ctx context.Context, address string) Result {
	conn, release, err := t.open(ctx, address)
	if err != nil {
		return failed(ctx, err)
	}
	defer release()
	if err := accepted(conn.(outspoken)); err != nil && ctx.Err() == nil {
		return failed(ctx, err)
	}
	return Result{OK: true} // at the latest when nothing was said against it for the time of a whole check
}

// accepted waits for what the target thinks of the client's certificate. With TLS
// 1.3 a handshake is over for the client before the target has looked at it (RFC
// 8446 section 4.4.2.4): an alert may follow. The target is told that there is
// nothing to come, and so has no reason to keep the connection.
func accepted(conn outspoken) error {
	gone := errors.Join(conn.CloseWrite(), conn.raw.CloseWrite())
	var first [1]byte
	_, err := conn.Read(first[:]) // an alert waits there even if the target is gone
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return gone // else it is the end, with a close_notify or without
	}
	return err
}
