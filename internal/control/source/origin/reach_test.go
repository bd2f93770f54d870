package origin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/control/source/reach"
)

// What a certificate names may be without TLS, on a host that is listed.
func TestWhatACertificateNamesIsAskedWhereItIsAllowed(t *testing.T) {
	var asked []string
	w := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch r.URL.Path {
		case "/a.crl":
			io.WriteString(w, pem)
		case "/elsewhere":
			http.Redirect(w, r, strings.Replace("http://"+r.Host, "127.0.0.1", "127.0.0.2", 1)+"/a.crl", http.StatusFound)
		case "/endless":
			endless(w, r)
		}
	}))
	defer w.Close()
	for _, tc := range []struct{ listed, path, want string }{
		{"127.0.0.1", "/a.crl", ""},
		{"127.0.0.0/8", "/a.crl", ""},
		{"crl.example.com", "/a.crl", "which may not be asked: revocation.hosts does not list 127.0.0.1"},
		{"127.0.0.0/8", "/elsewhere", "sends us to another one"},
		{"127.0.0.1", "/endless", "is larger than 1048576 bytes"},
	} {
		asked = nil
		spec := origin.Spec{URL: w.URL + tc.path, Timeout: 20 * time.Second, Limit: 1 << 20, Reach: reach.New([]string{tc.listed})}
		text, _, err := fetch(t, spec, origin.Version{})
		if tc.want == "" && (err != nil || text != pem) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s with %s listed: %q, %v; want %q", tc.path, tc.listed, text, err, tc.want)
		}
		if tc.listed == "crl.example.com" && len(asked) > 0 {
			t.Errorf("the server was asked for %q", asked)
		}
	}
}
