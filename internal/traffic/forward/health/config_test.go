package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
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
		"protocol":            {health.Config{Protocol: "icmp"}, []string{`protocol: "icmp", want http or tcp`}},
		"relative path":       {health.Config{Path: "healthz"}, []string{`path: "healthz", want`}},
		"path splits request": {health.Config{Path: "/ HTTP/1.1\r\nX: y"}, []string{`path: "/ HTTP/1.1\r\nX: y", want`}},
		"host splits request": {health.Config{Host: "a\r\nX: y"}, []string{`host: "a\r\nX: y", want`}},
		"path for tcp":        {health.Config{Protocol: "tcp", Path: "/"}, []string{`path: "/", but a tcp check only connects`}},
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

func TestMatcher(t *testing.T) {
	probes := []int{-1, 0, 100, 199, 200, 204, 301, 302, 399, 400, 418, 599, 600, 999}
	for s, want := range map[string][]int{
		"200":          {200},
		"200-399":      {200, 204, 301, 302, 399},
		"200-399,418":  {200, 204, 301, 302, 399, 418},
		"204, 301-302": {204, 301, 302},
		"400-599":      {400, 418, 599},
	} {
		m, err := health.ParseMatcher(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		var got []int
		for _, code := range probes {
			if m.Match(code) {
				got = append(got, code)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q matches %v, want %v", s, got, want)
		}
	}
	for _, s := range []string{"", ",", "200,", "2xx", "20", "2000", "100", "600", "300-200", "200-", "-200", "200 -300", "200-300-400", "+20", "200;204", "２００"} {
		if _, err := health.ParseMatcher(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
