package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

func TestConfigDefaults(t *testing.T) {
	want := health.Config{Protocol: "http", Path: "/", Matcher: "200-399", Interval: 10 * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 2}
	if got := (health.Config{}).WithDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (health.Config{Interval: time.Second}).WithDefaults().Timeout; got != time.Second {
		t.Errorf("timeout %v for an interval of 1s, want 1s", got)
	}
	if got := (health.Config{Protocol: "tcp"}).WithDefaults(); got.Path != "" || got.Matcher != "" {
		t.Errorf("a tcp check got %+v", got)
	}
	if got := (health.Config{Protocol: "grpc"}).WithDefaults(); got.Path != health.StandardService || got.Matcher != "0" {
		t.Errorf("a grpc check got %+v", got)
	}
}

func TestConfigFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		c    health.Config
		want []string // the beginning of each line, in order; none: valid
	}{
		"zero":                {},
		"tcp":                 {c: health.Config{Protocol: "tcp"}},
		"query":               {c: health.Config{Path: "/healthz?full=1"}},
		"host":                {c: health.Config{Host: "api.internal:8080"}},
		"protocol":            {health.Config{Protocol: "icmp"}, []string{`protocol: "icmp", want http, https, grpc, tcp or tls`}},
		"https without":       {health.Config{Protocol: "https"}, []string{"protocol: https without a way to speak TLS"}},
		"tls without":         {health.Config{Protocol: "tls"}, []string{"protocol: tls without a way to speak TLS"}},
		"http with TLS":       {health.Config{TLS: new(secure.Client)}, []string{`protocol: "http" with TLS`}},
		"https":               {c: health.Config{Protocol: "https", TLS: new(secure.Client), HTTP2: true, Path: "/a", Matcher: "200", Port: 65535}},
		"grpc over TLS":       {c: health.Config{Protocol: "grpc", TLS: new(secure.Client)}},
		"port":                {health.Config{Port: 65536}, []string{"port: 65536, want 1 to 65535"}},
		"path for tls":        {health.Config{Protocol: "tls", Path: "/", TLS: new(secure.Client)}, []string{`path: "/", but a tls check only connects`}},
		"relative path":       {health.Config{Path: "healthz"}, []string{`path: "healthz", want`}},
		"path splits request": {health.Config{Path: "/ HTTP/1.1\r\nX: y"}, []string{`path: "/ HTTP/1.1\r\nX: y", want`}},
		"host splits request": {health.Config{Host: "a\r\nX: y"}, []string{`host: "a\r\nX: y", want`}},
		"path for tcp":        {health.Config{Protocol: "tcp", Path: "/"}, []string{`path: "/", but a tcp check only connects`}},
		"grpc":                {c: health.Config{Protocol: "grpc"}},
		"grpc as AWS has it":  {c: health.Config{Protocol: "grpc", Path: "/AWS.ALB/healthcheck", Matcher: "0-5,12"}},
		"grpc with statuses":  {health.Config{Protocol: "grpc", Matcher: "200"}, []string{`matcher: "200" in "200", want gRPC codes from 0 to 99`}},
		"grpc without method": {health.Config{Protocol: "grpc", Path: "/healthz"}, []string{`path: "/healthz", want /SERVICE/METHOD`}},
		"grpc with query":     {health.Config{Protocol: "grpc", Path: "/a.B/c?d"}, []string{`path: "/a.B/c?d", want /SERVICE/METHOD`}},
		"negative":            {health.Config{Interval: -1, Healthy: -1}, []string{"interval: -1ns, want", "healthy: -1, want"}},
		"all at once": {health.Config{Path: "x", Matcher: "2xx", Interval: time.Second, Timeout: 2 * time.Second, Healthy: 101, Unhealthy: -2},
			[]string{`path: "x"`, `matcher: "2xx" in "2xx", want`, "timeout: 2s, want more than 0, at most the interval of 1s", "healthy: 101", "unhealthy: -2"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.c.Validate()
			if _, e := health.New(tc.c); (e == nil) != (err == nil) {
				t.Errorf("New: %v, Validate: %v", e, err)
			}
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tc.want) {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) {
					t.Errorf("fault %d: %q, want %q", i, got[i], tc.want[i])
				}
			}
		})
	}
}

func TestARenewedCertificateIsNoOtherCheck(t *testing.T) {
	a := health.Config{Protocol: "https", TLS: new(secure.Client)}
	b := a
	if b.TLS = new(secure.Client); !a.Same(b) || !b.Same(a) {
		t.Error("another client makes another check")
	}
	if b.Path = "/healthz"; a.Same(b) {
		t.Error("another path does not")
	}
	if b = a; b.TLS == nil || b.Same(health.Config{Protocol: "https"}) {
		t.Error("no TLS at all does not")
	}
}

func TestMatcher(t *testing.T) {
	probes := []int{-1, 0, 1, 12, 99, 100, 199, 200, 204, 301, 302, 399, 400, 418, 599, 600, 999}
	for _, tc := range []struct {
		protocol, s string
		want        []int
	}{
		{"http", "200", []int{200}},
		{"http", "200-399", []int{200, 204, 301, 302, 399}},
		{"http", "200-399,418", []int{200, 204, 301, 302, 399, 418}},
		{"http", "204, 301-302", []int{204, 301, 302}},
		{"http", "400-599", []int{400, 418, 599}},
		{"grpc", "0", []int{0}},
		{"grpc", "12", []int{12}},
		{"grpc", "0,12", []int{0, 12}},
		{"grpc", "0-99", []int{0, 1, 12, 99}},
	} {
		m, err := health.ParseMatcher(tc.protocol, tc.s)
		if err != nil {
			t.Errorf("%q: %v", tc.s, err)
			continue
		}
		var got []int
		for _, code := range probes {
			if m.Match(code) {
				got = append(got, code)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q matches %v, want %v", tc.s, got, tc.want)
		}
	}
	for protocol, refused := range map[string][]string{
		"http": {"", ",", "200,", "2xx", "20", "2000", "100", "600", "300-200", "200-", "-200", "200 -300", "200-300-400", "+20", "200;204", "２００", "0"},
		"grpc": {"", "100", "200", "00", "+1", "5-1", "0-100", "OK"},
	} {
		for _, s := range refused {
			if _, err := health.ParseMatcher(protocol, s); err == nil {
				t.Errorf("%s: %q was accepted", protocol, s)
			}
		}
	}
}
