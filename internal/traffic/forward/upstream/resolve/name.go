package resolve

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Names are written with what is asked for in front.
const (
	hostPrefix = "dns:" // dns:HOST:PORT, addresses (A, AAAA)
	srvPrefix  = "srv:" // srv:_SERVICE._PROTO.NAME, hosts with their ports and weights (RFC 2782)
)

// IsName reports whether a target of a configuration is a name to be resolved.
func IsName(s string) bool {
	return strings.HasPrefix(s, hostPrefix) || strings.HasPrefix(s, srvPrefix)
}

// Check says what is wrong with a name.
func Check(s string) error {
	if _, _, err := splitHost(s); strings.HasPrefix(s, hostPrefix) {
		return err
	}
	name := strings.TrimPrefix(s, srvPrefix)
	if labels := strings.Split(name, "."); len(labels) < 3 || !strings.HasPrefix(labels[0], "_") || !strings.HasPrefix(labels[1], "_") || !isHost(name) {
		return fmt.Errorf("targets: %q, want srv:_SERVICE._PROTOCOL.NAME such as srv:_http._tcp.api.example.com", s)
	}
	return nil
}

func splitHost(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(strings.TrimPrefix(s, hostPrefix))
	if err == nil && (!isHost(host) || net.ParseIP(host) != nil) {
		err = errors.New("no host name")
	}
	if n, e := strconv.ParseUint(port, 10, 16); err == nil && (e != nil || n == 0) {
		err = fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	if err != nil {
		err = fmt.Errorf("targets: %q, want dns:HOST:PORT such as dns:api.example.com:8080: %w", s, err)
	}
	return host, port, err
}

// isHost reports whether s can be asked for: labels of letters, digits, hyphens
// and underscores, 63 at most, 253 in all.
func isHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
