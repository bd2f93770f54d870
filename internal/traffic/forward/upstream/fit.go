package upstream

import (
	"cmp"
	"fmt"
	"slices"
)

// fitting says what is wrong with the protocol of a group, and whether it is one
// over TLS.
func fitting(c GroupConfig) error {
	protocol := cmp.Or(c.Protocol, protocols[0])
	switch overTLS := c.TLS != nil; {
	case !slices.Contains(protocols[:], protocol):
		return nil // which is said already
	case overTLS && (protocol == "http" || protocol == "tcp"):
		return fmt.Errorf("tls: given, but protocol is %s; want https, tls, h2 or grpc", protocol)
	case !overTLS && (protocol == "https" || protocol == "tls"):
		return fmt.Errorf("tls: not given, but protocol is %s", protocol)
	}
	return nil
}
