package origin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pem = "-----BEGIN CERTIFICATE-----\n"

// A web is a TLS server on loopback, with the file of its authority.
type web struct {
	*httptest.Server
	root *testpki.Certificate
	ca   string
}

func newWeb(t *testing.T, handler http.HandlerFunc) *web {
	root := testpki.NewRoot(t, "Web Root")
	return serve(t, root, root.Server("localhost").TLS(), handler)
}

func serve(t *testing.T, root *testpki.Certificate, certificate tls.Certificate, handler http.HandlerFunc) *web {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return &web{s, root, testpki.WriteFile(t, filepath.Join(t.TempDir(), "ca.crt"), root.PEM())}
}

// at is a source on the server, by the name that its certificate has.
func (w *web) at(path string) origin.Spec {
	_, port, _ := net.SplitHostPort(w.Listener.Addr().String())
	return origin.Spec{URL: "https://localhost:" + port + path, CA: w.ca, Timeout: 20 * time.Second, Limit: 1 << 20}
}

func fetch(t *testing.T, spec origin.Spec, known origin.Version) (string, origin.Version, error) {
	t.Helper()
	var w bytes.Buffer
	v, err := origin.Fetch(t.Context(), spec, known, &w)
	return w.String(), v, err
}

func TestWhatIsKnownIsNotFetchedAgain(t *testing.T) {
	const day = "Sun, 06 Nov 1994 08:49:37 GMT"
	for name, version := range map[string]origin.Version{
		"by entity tag": {ETag: `"v1"`},
		"by date":       {LastModified: day},
		"by both":       {ETag: `W/"v1"`, LastModified: day},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
				if version.ETag != "" {
					w.Header().Set("ETag", version.ETag)
				}
				if version.LastModified != "" {
					w.Header().Set("Last-Modified", version.LastModified)
				}
				http.ServeContent(w, r, "a.crl", lastModified(version), strings.NewReader(pem))
			})
			text, v, err := fetch(t, w.at("/a.crl"), origin.Version{})
			if text != pem || v != version || err != nil {
				t.Fatalf("got %q, %+v, %v", text, v, err)
			}
			text, _, err = fetch(t, w.at("/a.crl"), v)
			if text != "" || err != origin.ErrUnchanged {
				t.Errorf("again: got %q, %v", text, err)
			}
		})
	}
}

func lastModified(v origin.Version) time.Time {
	at, _ := http.ParseTime(v.LastModified)
	return at
}

// Of a file that has just been written, the date does not tell the next state.
func TestADateOfThisSecondIsNoVersion(t *testing.T) {
	w := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now().UTC().Format(http.TimeFormat)
		w.Header().Set("Date", now)
		w.Header().Set("Last-Modified", now)
		io.WriteString(w, pem)
	})
	if _, v, err := fetch(t, w.at("/a.crl"), origin.Version{}); v != (origin.Version{}) || err != nil {
		t.Errorf("got %+v, %v", v, err)
	}
}

// What a server may do wrong, in words that name it.
func TestABadAnswerIsNamed(t *testing.T) {
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"not there", answer(404, "text/plain", "no"), "the server answers 404 Not Found; want 200"},
		{"broken", answer(500, "text/plain", pem), "the server answers 500 Internal Server Error; want 200"},
		{"a part", answer(206, "text/plain", pem), "the server answers 206 Partial Content; want 200"},
		{"unchanged since never", answer(304, "", ""), "has not changed, without having been told since when"},
		{"empty", answer(200, "application/pkix-crl", ""), "the server sends nothing"},
		{"HTML", answer(200, "application/octet-stream", "\ufeff \n<!DOCTYPE HTML><p>log in"), "the server sends an HTML page; want"},
		{"HTML by its type", answer(200, "Text/HTML; charset=utf-8", "<p>log in"), "the server sends an HTML page; want"},
		{"XML", answer(200, "application/xml", "<?xml version='1.0'?><Error/>"), "the server sends XML; want"},
		{"JSON", answer(200, "application/json", `{"error":1}`), "the server sends JSON; want"},
		{"gzip", answer(200, "application/gzip", "\x1f\x8b\x08"), "the server sends something compressed (gzip)"},
		{"ZIP", answer(200, "application/zip", "PK\x03\x04"), "the server sends a ZIP archive"},
		{"compressed unasked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "xx")
		}, "the server compresses it (br) without having been asked to"},
		{"too large, and says so", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10737418240")
			io.WriteString(w, pem)
		}, "it is larger than 1048576 bytes"},
		{"too large, and does not say so", endless, "it is larger than 1048576 bytes"},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, pem)
		}, "the connection ended before the content did"},
		{"a head without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, "response headers exceeded"},
		{"to the metadata service", to("http://169.254.169.254/latest/meta-data/"), "sends us to another one, http://169.254.169.254, which is not followed"},
		{"to a private address", to("https://10.0.0.1/a.crl"), "sends us to another one, https://10.0.0.1, which is not followed"},
		{"to another host", to("https://other.example.com/a.crl"), "another one, https://other.example.com, which is not followed"},
		{"to another port", to("https://localhost:1/a.crl"), "another one, https://localhost:1, which"},
		{"round and round", to("/a.crl"), "from one URL to the next"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := newWeb(t, tc.handler).at("/a.crl?token=secret")
			_, _, err := fetch(t, spec, origin.Version{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("the error is %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the query: %v", err)
			}
		})
	}
}

// JSON is what a JWK set is, and a page to log in at is not.
func TestKeysAreFetchedAsJSON(t *testing.T) {
	body := `{"keys":[]}`
	w := newWeb(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
	spec := w.at("/jwks.json")
	spec.Keys = true
	if got, _, err := fetch(t, spec, origin.Version{}); string(got) != body || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	body = "<html>log in"
	if _, _, err := fetch(t, spec, origin.Version{}); err == nil || !strings.Contains(err.Error(), "sends an HTML page; want a JWK set") {
		t.Errorf("%v", err)
	}
}

// endless sends until nobody reads any more.
func endless(w http.ResponseWriter, r *http.Request) {
	for block := bytes.Repeat([]byte("x"), 64<<10); r.Context().Err() == nil; {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestARedirectOnTheSameServerIsFollowed(t *testing.T) {
	w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/latest" {
			http.Redirect(w, r, "/v7.crl", http.StatusMovedPermanently)
			return
		}
		io.WriteString(w, pem)
	})
	if text, _, err := fetch(t, w.at("/latest"), origin.Version{}); text != pem || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// Whatever a server is slow with, the fetch as a whole has an end.
func TestASlowServerIsGivenUp(t *testing.T) {
	for name, first := range map[string]string{"with the head": "", "with the content": pem} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
				if first != "" {
					io.WriteString(w, first)
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			spec := w.at("/a.crl")
			spec.Timeout = 300 * time.Millisecond
			_, _, err := fetch(t, spec, origin.Version{})
			if err == nil || !strings.Contains(err.Error(), "it did not arrive within 300ms") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestAFetchCanBeCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := newWeb(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, err := origin.Fetch(ctx, w.at("/"), origin.Version{}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestABusyServerSaysForHowLong(t *testing.T) {
	w := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, _, err := fetch(t, w.at("/"), origin.Version{})
	busy, ok := errors.AsType[*origin.BusyError](err)
	if !ok || busy.After != 2*time.Minute {
		t.Errorf("the error is %v", err)
	}
}

func TestTLSIsAlwaysVerified(t *testing.T) {
	root, stranger := testpki.NewRoot(t, "Web Root"), testpki.NewRoot(t, "Stranger")
	ok := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, pem) }
	for _, tc := range []struct {
		name        string
		certificate tls.Certificate
		want        string
	}{
		{"another name", root.Server("other.example.com", testpki.DNS("other.example.com"), testpki.IP()).TLS(), "certificate is valid for other.example.com, not localhost"},
		{"an authority that is not known", stranger.Server("localhost").TLS(), "certificate signed by unknown authority"},
		{"expired", root.Server("localhost", testpki.Expired()).TLS(), "certificate has expired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := fetch(t, serve(t, root, tc.certificate, ok).at("/"), origin.Version{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("the authorities of the system", func(t *testing.T) {
		spec := newWeb(t, ok).at("/")
		spec.CA = ""
		if _, _, err := fetch(t, spec, origin.Version{}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(ok))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{root.Server("localhost").TLS()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		w := &web{s, root, testpki.WriteFile(t, filepath.Join(t.TempDir(), "ca.crt"), root.PEM())}
		if _, _, err := fetch(t, w.at("/"), origin.Version{}); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("a file without authorities", func(t *testing.T) {
		spec := newWeb(t, ok).at("/")
		spec.CA = testpki.WriteFile(t, filepath.Join(t.TempDir(), "ca.crt"), []byte("hello\n"))
		if _, _, err := fetch(t, spec, origin.Version{}); err == nil || !strings.Contains(err.Error(), "has no certificate") {
			t.Errorf("the error is %v", err)
		}
	})
}

// The proxy of the environment is asked for a tunnel, in which TLS is verified
// all the same.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	root := testpki.NewRoot(t, "Web Root")
	w := serve(t, root, root.Server("pki.example.test", testpki.DNS("pki.example.test")).TLS(),
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, pem) })
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		target, err := net.Dial("tcp", w.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		client, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(target, client); target.Close() }()
		io.Copy(client, target)
		client.Close()
		<-done
	}))
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", "")
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	spec := w.at("/a.crl")
	spec.URL = "https://pki.example.test/a.crl"
	if text, _, err := fetch(t, spec, origin.Version{}); text != pem || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if asked.Load() != "CONNECT pki.example.test:443" {
		t.Errorf("the proxy was asked %v", asked.Load())
	}
}

// A query is not told, and still tells two URLs apart.
func TestNamesDoNotTellTheQuery(t *testing.T) {
	a, b := origin.Spec{URL: "https://h/a.crl?sig=one"}.Name(), origin.Spec{URL: "https://h/a.crl?sig=two"}.Name()
	if a == b || strings.Contains(a, "one") || !strings.HasPrefix(a, "https://h/a.crl?...") {
		t.Errorf("the names are %s and %s", a, b)
	}
	if name := (origin.Spec{URL: "s3://b/k?versionId=1"}).Name(); name != "s3://b/k?versionId=1" {
		t.Errorf("the name is %s", name)
	}
}

// Whatever the first bytes are, they are judged without harm, and PEM and DER
// are never taken for something else.
func FuzzFetch(f *testing.F) {
	for _, seed := range []string{"", pem, "0\x82", "<html>", "{", "\x1f\x8b", "PK\x03\x04", "\xef\xbb\xbf<"} {
		f.Add([]byte(seed), "text/plain")
	}
	body := atomic.Pointer[[]byte]{}
	kind := atomic.Pointer[string]{}
	root := testpki.NewRoot(f, "Web Root")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{*kind.Load()}
		w.Write(*body.Load())
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{root.Server("localhost").TLS()}}
	s.StartTLS()
	f.Cleanup(s.Close)
	w := &web{s, root, testpki.WriteFile(f, filepath.Join(f.TempDir(), "ca.crt"), root.PEM())}
	spec := w.at("/")
	spec.Limit = 1 << 10
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		if strings.ContainsFunc(contentType, unicode.IsControl) {
			t.Skip("net/http refuses such a header")
		}
		body.Store(&data)
		kind.Store(&contentType)
		text, _, err := fetch(t, spec, origin.Version{})
		if err == nil && text != string(data) {
			t.Errorf("got %q of %q", text, data)
		}
		good := len(data) > 0 && len(data) <= 1<<10 && (data[0] == 0x30 || data[0] == '-') && !strings.Contains(strings.ToLower(contentType), "html")
		if good && err != nil {
			t.Errorf("%q is refused: %v", data, err)
		}
	})
}
