package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
)

// Every example is started and exercised: by its README, which TestDocumentsAreTrue
// follows, or it is the backend of the documents.
func TestEveryExampleIsExercised(t *testing.T) {
	entries, err := os.ReadDir("../examples")
	if err != nil || len(entries) < 5 {
		t.Fatalf("%d examples, %v", len(entries), err)
	}
	for _, e := range entries {
		if e.Name() == "echo" {
			continue // TestEchoAnswersWithTheRequest
		}
		served, asked := false, false
		for _, b := range fences(t, "examples/"+e.Name()+"/README.md") {
			served = served || b.lang == "sh" && startsGateway.MatchString(b.text)
			asked = asked || served && b.lang == "sh" && (strings.Contains(b.text, "curl ") || strings.Contains(b.text, "mosquitto_pub "))
		}
		if !served || !asked {
			t.Errorf("examples/%s/README.md starts a gateway: %v; asks it for something: %v", e.Name(), served, asked)
		}
	}
}

func TestEchoAnswersWithTheRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.Command("go", "build", "-o", path, "../examples/echo").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	address := testport.For(t)
	cmd := exec.Command(path, address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+"/x?y=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Client-Info", "CN=MacID-1")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.DefaultClient.Do(r)
		if err != nil && time.Now().Before(end) {
			continue // it does not listen yet
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.HasPrefix(body, []byte("POST /x?y=1 HTTP/1.1\r\n")) || !bytes.Contains(body, []byte("X-Client-Info: CN=MacID-1\r\n")) {
			t.Errorf("%s, %v", body, err)
		}
		return
	}
}

// What docs/use/backends.md shows of nginx, run by nginx: it knows the devices that
// were verified, and serves the gateway alone.
func TestTheDocumentedMapOfNginxKnowsVerifiedDevices(t *testing.T) {
	testrequire.Program(t, "nginx")
	var shown string
	for _, b := range fences(t, "docs/use/backends.md") {
		if b.lang == "nginx" {
			shown = b.text
		}
	}
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Device"))
	}))
	t.Cleanup(behind.Close)
	start := func(gateway string) string {
		dir := t.TempDir()
		return testrequire.Peer(t, "nginx", func(address string) []string {
			config := "daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off;\n" +
				"client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;\n" +
				strings.NewReplacer("10.0.0.20:9001", address, "10.0.0.5", gateway, "http://127.0.0.1:8000", behind.URL).Replace(shown) + "}\n"
			file := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"-p", dir, "-c", file}
		}, testrequire.InheritedByNginx)
	}
	ask := func(address, verify, subject string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-SSL-Client-Verify", verify)
		r.Header.Set("X-SSL-Client-S-DN", subject)
		r.Header.Set("X-Device", "forged")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	gateway := start("127.0.0.1")
	if status, device := ask(gateway, "SUCCESS", "CN=MacID-AA:BB:CC:00:00:01"); status != 200 || device != "MacID-AA:BB:CC:00:00:01" {
		t.Errorf("a verified device is %d %q", status, device)
	}
	for _, c := range [][2]string{
		{"NONE", ""}, {"NONE", "CN=MacID-AA:BB:CC:00:00:01"}, {"FAILED:x", "CN=MacID-AA:BB:CC:00:00:01"}, {"SUCCESS", "CN=root"},
		{"SUCCESS", "CN=MacID-AA,O=x"}, {"SUCCESS", "O=x,CN=MacID-AA"}, {"SUCCESS:CN=MacID-AA", ""},
	} {
		if status, device := ask(gateway, c[0], c[1]); status != 403 {
			t.Errorf("%q is %d %q", c, status, device)
		}
	}
	if status, device := ask(start("10.0.0.5"), "SUCCESS", "CN=MacID-AA:BB:CC:00:00:01"); status != 403 {
		t.Errorf("from elsewhere: %d %q", status, device)
	}
}
