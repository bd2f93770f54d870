package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/client"
)

// node answers as do says, until the test ends.
func node(t *testing.T, do http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: do}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return l.Addr().String()
}

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api.token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newClient(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Address: address, TokenFile: tokenFile(t, "secret\n")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	asked := 0
	c := newClient(t, node(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Query().Get("subject") != "CN=a&b" {
			t.Errorf("%v %v", r.Header, r.URL)
		}
		switch r.URL.Query().Get("after") {
		case "":
			fmt.Fprint(w, `{"items":[{"id":"1"},{"id":"2"}],"next":"2"}`)
		case "2":
			fmt.Fprint(w, `{"items":[{"id":"3","more":"than is known here"}]}`)
		}
	}))
	var ids []string
	for k, err := range c.Connections(t.Context(), client.ConnectionFilter{Subject: "CN=a&b"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	if strings.Join(ids, " ") != "1 2 3" || asked != 2 {
		t.Errorf("%v in %d requests", ids, asked)
	}
	for range c.Connections(t.Context(), client.ConnectionFilter{Subject: "CN=a&b"}) {
		break // who has enough asks no more
	}
	if asked != 3 {
		t.Errorf("%d requests", asked)
	}
}

func TestARefusalIsAProblem(t *testing.T) {
	c := newClient(t, node(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(422)
		fmt.Fprint(w, `{"title":"Unprocessable Entity","status":422,"detail":"it is refused","code":"configuration_refused","faults":[{"file":"c.yaml","line":3,"column":7,"found":"x","text":"c.yaml:3:7: found x"}]}`)
	}))
	_, err := c.Reload(t.Context())
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Code != "configuration_refused" || len(p.Faults) != 1 || p.Faults[0].Line != 3 {
		t.Fatalf("%+v", err)
	}
	if got := err.Error(); got != "it is refused (422 configuration_refused)\nc.yaml:3:7: found x" {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNoManagementAPIIsSaidSo(t *testing.T) {
	var redirected bool
	c := newClient(t, node(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/trust-stores/gone":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/elsewhere":
			redirected = true
		case "/v1/trust-stores/odd":
			fmt.Fprint(w, "<html>")
		default:
			http.NotFound(w, r)
		}
	}))
	for name, want := range map[string]string{"x": "no_management_api", "gone": "no_management_api", "odd": "not understood"} {
		if _, err := c.TrustStore(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if redirected {
		t.Error("the token went where a redirect leads")
	}
}

func TestNobodyThereIsAnotherError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = newClient(t, l.Addr().String()).Snapshot(t.Context())
	if u, ok := errors.AsType[*client.UnreachableError](err); !ok || !strings.Contains(err.Error(), l.Addr().String()) || u.Err == nil {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = newClient(t, l.Addr().String()).Snapshot(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTheTokenStaysOnTheMachine(t *testing.T) {
	token := tokenFile(t, "secret")
	for address, good := range map[string]bool{
		"": true, "localhost:9901": true, "127.0.0.9:9901": true, "[::1]:9901": true, "http://[::ffff:127.0.0.1]:9901/": true,
		"10.0.0.1:9901": false, "example.com:9901": false, "127.0.0.1.example.com:9901": false, "https://node:9901": false,
	} {
		if _, err := client.New(client.Config{Address: address, TokenFile: token}); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, cfg := range []client.Config{
		{Address: "nowhere"}, {Address: "ftp://127.0.0.1:1"}, {Address: "http://127.0.0.1:1/v1"}, {Address: "http://127.0.0.1:1", CA: "ca.crt"},
		{Address: "http://u:p@127.0.0.1:1"}, {TokenFile: filepath.Join(t.TempDir(), "none")}, {TokenFile: tokenFile(t, "")},
		{TokenFile: tokenFile(t, "two words")}, {CA: token}, {Certificate: token, Key: token},
	} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
