package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server on a free port until the test ends.
func start(t *testing.T, c admin.Config) (url string, stop func()) {
	t.Helper()
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := admin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run did not return")
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(stop)
	return "http://" + s.Addr().String(), stop
}

func ask(t *testing.T, method, url, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestAnswers(t *testing.T) {
	var draining atomic.Bool
	var reasons, unwell atomic.Pointer[[]string]
	unwell.Store(new([]string))
	reasons.Store(&[]string{"no configuration is in force yet", "listener devices is not open"})
	url, _ := start(t, admin.Config{
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") }),
		Ready:    func() []string { return *reasons.Load() },
		Well:     func() []string { return *unwell.Load() },
		Draining: draining.Load,
	})
	type answer struct {
		method, path, accept string
		status               int
		kind, body           string
	}
	const text, plainJSON, problem = "text/plain; charset=utf-8", "application/json", "application/problem+json"
	check := func(tests ...answer) {
		t.Helper()
		for _, tt := range tests {
			resp, body := ask(t, tt.method, url+tt.path, tt.accept)
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.kind || body != tt.body {
				t.Errorf("%s %s, Accept %q: got %d %s %q, want %d %s %q", tt.method, tt.path, tt.accept,
					resp.StatusCode, resp.Header.Get("Content-Type"), body, tt.status, tt.kind, tt.body)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be cached", tt.path)
			}
		}
	}
	const twoReasons = `"detail":"no configuration is in force yet; listener devices is not open","reasons":["no configuration is in force yet","listener devices is not open"]}` + "\n"
	check(
		answer{"GET", "/healthz", "", 200, text, "ok\n"},
		answer{"HEAD", "/healthz", "", 200, text, ""},
		answer{"GET", "/healthz", "application/json", 200, plainJSON, `{"status":"ok"}` + "\n"},
		answer{"GET", "/readyz", "*/*", 503, text, "no configuration is in force yet\nlistener devices is not open\n"},
		answer{"GET", "/readyz", "application/problem+json", 503, problem, `{"title":"Service Unavailable","status":503,` + twoReasons},
		answer{"GET", "/readyz", "text/html, application/json;q=0.9, */*;q=0.1", 503, problem, `{"title":"Service Unavailable","status":503,` + twoReasons},
		answer{"HEAD", "/readyz", "", 503, text, ""},
		answer{"GET", "/metrics", "", 200, text, "up 1\n"},
		answer{"POST", "/healthz", "", 405, text, "want GET or HEAD\n"},
		answer{"DELETE", "/metrics", "application/json", 405, problem, `{"title":"Method Not Allowed","status":405,"detail":"want GET or HEAD"}` + "\n"},
		answer{"GET", "/nothing", "", 404, text, "there is no /nothing here; want /healthz, /readyz or /metrics\n"},
		answer{"GET", "/healthz/x", "", 404, text, "there is no /healthz/x here; want /healthz, /readyz or /metrics\n"},
	)
	if resp, _ := ask(t, "PUT", url+"/", ""); resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %q (RFC 9110 section 15.5.6 demands it)", resp.Header.Get("Allow"))
	}

	reasons.Store(new([]string))
	check(
		answer{"GET", "/readyz", "", 200, text, "ok\n"},
	)
	unwell.Store(&[]string{`target group "api" has no healthy target`})
	check( // a balancer in front is to send no more, but nothing is to be started anew for it
		answer{"GET", "/healthz", "", 503, text, "target group \"api\" has no healthy target\n"},
		answer{"GET", "/readyz", "", 200, text, "ok\n"},
	)
	unwell.Store(new([]string))
	draining.Store(true)
	check(
		answer{"GET", "/healthz", "", 503, text, "the node is draining\n"},
		answer{"GET", "/readyz", "", 503, text, "the node is draining\n"},
		answer{"GET", "/readyz", "application/json", 503, problem, `{"title":"Service Unavailable","status":503,"detail":"the node is draining"}` + "\n"},
	)
}

func TestZeroConfig(t *testing.T) {
	url, _ := start(t, admin.Config{})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404} {
		if resp, body := ask(t, "GET", url+path, ""); resp.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, body, want)
		}
	}
}

func TestAccept(t *testing.T) {
	url, _ := start(t, admin.Config{})
	for accept, json := range map[string]bool{
		"":                                  false,
		"*/*":                               false,
		"text/html":                         false,
		"application/json":                  true,
		"APPLICATION/JSON":                  true,
		"application/*":                     true,
		"application/json, text/plain":      false,
		"application/json;q=0.5,text/plain": false,
		"application/json;q=0":              false,
		"application/json;q=2":              false,
		"application/json;q=NaN":            false,
		"application/json;q=x":              false,
		"application/json; charset=utf-8":   true,
		"text/plain;q=0.5, application/problem+json;q=0.6": true,
		";;;,,,=": false,
	} {
		resp, _ := ask(t, "GET", url+"/healthz", accept)
		if got := resp.Header.Get("Content-Type") == "application/json"; got != json {
			t.Errorf("Accept %q: %s", accept, resp.Header.Get("Content-Type"))
		}
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, want := range map[string]string{
		l.Addr().String(): "address already in use",
		"nowhere":         "missing port",
		"127.0.0.1:99999": "invalid port",
	} {
		s, err := admin.New(admin.Config{Address: address})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
}

func TestCloseGivesTheAddressBack(t *testing.T) {
	s, err := admin.New(admin.Config{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := admin.New(admin.Config{Address: s.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestAStopWaitsForAnAnswerUnderWay(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	url, stop := start(t, admin.Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		io.WriteString(w, "late but whole\n")
	})})
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/metrics")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-asked
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	// The port is closed to newcomers before the answer is complete.
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(answer)
	if s := <-got; s != "late but whole\n" {
		t.Errorf("got %q", s)
	}
	<-stopped
}

func TestAPublicAddressIsWarnedOf(t *testing.T) {
	for address, warned := range map[string]bool{"127.0.0.1:0": false, "0.0.0.0:0": true, ":0": true} {
		var out bytes.Buffer
		_, stop := start(t, admin.Config{Address: address, Logger: slog.New(slog.NewJSONHandler(&out, nil))})
		stop()
		if !warned {
			if out.Len() > 0 {
				t.Errorf("%s: logged %s", address, out.String())
			}
			continue
		}
		var line struct{ Level, Msg string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "WARN" || !strings.Contains(line.Msg, "other machines") {
			t.Errorf("%s: logged %s", address, out.String())
		}
	}
}
