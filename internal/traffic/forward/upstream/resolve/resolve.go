package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Endpoint is a target that was found.
type Endpoint struct {
	Address string // host:port, the host an IP address
	Weight  int    // of the SRV record, at least 1; 1 without
}

// Until the next question: as long as the records are good, but within these.
const (
	soonest = time.Second
	latest  = time.Hour
	unknown = 30 * time.Second // for what is known without a server: /etc/hosts
	again   = 5 * time.Second  // after no answer
	timeout = 10 * time.Second
)

// System asks the resolver of the system.
func System(ctx context.Context, name string) ([]Endpoint, time.Duration, error) {
	var d net.Dialer
	return Resolver{Dial: d.DialContext}.Resolve(ctx, name)
}

// A Resolver asks servers that it reaches by Dial.
type Resolver struct {
	Dial func(ctx context.Context, network, server string) (net.Conn, error)
}

// Resolve finds the endpoints behind name, in the order of their addresses, and
// says when to ask again. An answer without any endpoint is an error.
func (r Resolver) Resolve(ctx context.Context, name string) ([]Endpoint, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q := &question{life: latest}
	q.resolver = net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		conn, err := r.Dial(ctx, network, server)
		if err != nil {
			return nil, err
		}
		return q.listen(conn), nil
	}}
	var found []Endpoint
	var err error
	if strings.HasPrefix(name, srvPrefix) {
		found, err = q.service(ctx, strings.TrimPrefix(name, srvPrefix))
	} else {
		found, err = q.host(ctx, name)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("there are no addresses behind it")
	}
	if err != nil {
		return nil, again, err
	}
	slices.SortFunc(found, func(a, b Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	found = slices.CompactFunc(found, func(a, b Endpoint) bool { return a.Address == b.Address })
	return found, q.next(), nil
}

// host finds the addresses of dns:HOST:PORT.
func (q *question) host(ctx context.Context, name string) (found []Endpoint, err error) {
	host, port, err := splitHost(name)
	if err != nil {
		return nil, err
	}
	addresses, err := q.addresses(ctx, host)
	for _, a := range addresses {
		found = append(found, Endpoint{net.JoinHostPort(a.String(), port), 1})
	}
	return found, err
}

// addresses finds those of host: of IPv4, or of IPv6 if there are none of those. A
// host that has both is one target, not two.
func (q *question) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := q.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var four, six []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	if len(four) > 0 {
		return four, nil
	}
	return six, nil
}

// service finds the hosts of srv:NAME that come first: those of the lowest
// priority (RFC 2782).
func (q *question) service(ctx context.Context, name string) (found []Endpoint, err error) {
	_, records, err := q.resolver.LookupSRV(ctx, "", "", name)
	if err != nil {
		return nil, err
	}
	for _, record := range records { // by priority
		if record.Priority != records[0].Priority {
			break
		}
		if record.Target == "." {
			return nil, errors.New("the service is decidedly not available there (RFC 2782)")
		}
		addresses, err := q.addresses(ctx, record.Target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", record.Target, err)
		}
		for _, a := range addresses {
			found = append(found, Endpoint{net.JoinHostPort(a.String(), strconv.Itoa(int(record.Port))), max(1, int(record.Weight))})
		}
	}
	return found, nil
}
