package admin_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"countersign.dev/internal/control/admin"
	"countersign.dev/internal/testpki"
)

// An address that is in use begins to speak TLS, and ends it.
func TestTLSComesAndGoes(t *testing.T) {
	ca := testpki.NewRoot(t, "ca")
	var secure atomic.Pointer[tls.Config]
	url, _ := start(t, admin.Config{TLS: secure.Load})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}}
	get := func(url string) (int, error) {
		resp, err := client.Get(url + "/healthz")
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	overTLS := strings.Replace(url, "http:", "https:", 1)
	for _, on := range []bool{false, true, false} {
		good, bad := url, overTLS
		secure.Store(nil)
		if on {
			good, bad = overTLS, url
			secure.Store(&tls.Config{Certificates: []tls.Certificate{ca.Server("node", testpki.IP("127.0.0.1")).TLS()}})
		}
		if status, err := get(good); status != 200 {
			t.Errorf("TLS %t: %d %v", on, status, err)
		}
		if status, err := get(bad); err == nil && status != 400 {
			t.Errorf("TLS %t: the other is answered %d", on, status)
		}
	}
}

func TestTheAPIHasItsOwnPaths(t *testing.T) {
	url, _ := start(t, admin.Config{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "api "+r.Method+" "+r.URL.Path)
	})})
	for path, want := range map[string]string{
		"/v1/snapshot": "api POST /v1/snapshot", "/v1/": "api POST /v1/", "/openapi.json": "api POST /openapi.json",
		"/v1": "want GET or HEAD\n", "/v10/x": "want GET or HEAD\n", "/healthz": "want GET or HEAD\n", "/healthz/../v1/x": "want GET or HEAD\n",
	} {
		if _, body := ask(t, "POST", url+path, ""); body != want {
			t.Errorf("POST %s: %q, want %q", path, body, want)
		}
	}
	if _, body := ask(t, "GET", url+"/nothing", ""); !strings.Contains(body, "/openapi.json says what it has") {
		t.Error(body)
	}
}
