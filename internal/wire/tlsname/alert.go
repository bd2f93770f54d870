package tlsname

import (
	"errors"
	"net"
	"reflect"
)

// Alert returns the number of the TLS alert that err says the other side has sent
// (RFC 8446 section 6), -1 for none. crypto/tls has a type of its own for it, which
// it does not show.
func Alert(err error) int {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return -1
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
		return int(v.Uint())
	}
	return -1
}
