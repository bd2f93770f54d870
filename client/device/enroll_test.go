package device_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/client/device"
	"countersign.dev/internal/testpki"
)

func freshKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answering returns what a device asks with at a gateway that answers as do says.
func answering(t *testing.T, do http.HandlerFunc) (device.Config, *testpki.Certificate) {
	t.Helper()
	web, fleet := testpki.NewRoot(t, "Web Root"), testpki.NewRoot(t, "Fleet Root")
	server := httptest.NewUnstartedServer(do)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{web.Server("localhost", testpki.IP("127.0.0.1")).TLS()}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return device.Config{URL: server.URL, RootCAs: web.Pool(), Certificate: fleet.Client("bootstrap").TLS(), DeviceID: "d1", Claim: "secret", Key: freshKey(t)}, fleet
}

// issue answers Initialize with a certificate for the key that asks.
func issue(t *testing.T, fleet *testpki.Certificate, w http.ResponseWriter, r *http.Request) {
	var m struct {
		CSR string `json:"csr"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &m) != nil {
		t.Errorf("%q: %v", body, err)
		return
	}
	block, _ := pem.Decode([]byte(m.CSR))
	if block == nil {
		t.Errorf("no signing request: %q", body)
		return
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		t.Errorf("the signing request: %v", err)
		return
	}
	w.Write(fleet.Client("d1", testpki.PublicKey(csr.PublicKey)).PEM())
}

func refuse(w http.ResponseWriter, status int, code, after string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.WriteHeader(status)
	io.WriteString(w, `{"type":"urn:countersign:denial:`+code+`","title":"It is so.","status":200,"code":"`+code+`"}`)
}

func TestADeviceThatComesTooEarlyWaitsAsItIsTold(t *testing.T) {
	var asked atomic.Int32
	var fleet *testpki.Certificate
	var cfg device.Config
	cfg, fleet = answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != device.DefaultPath || r.Method != http.MethodPost {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		switch asked.Add(1) {
		case 1:
			refuse(w, 202, "DeviceNotReady", "1")
		default:
			issue(t, fleet, w, r)
		}
	})
	var told []string
	cfg.Waiting = func(why *device.Problem, wait time.Duration) {
		told = append(told, why.Code)
		if wait < time.Second || wait > 1100*time.Millisecond {
			t.Errorf("it waits %v where it is told 1s", wait)
		}
	}
	began := time.Now()
	own, err := device.Enroll(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if passed := time.Since(began); passed < time.Second {
		t.Errorf("it came again after %v", passed)
	}
	if asked.Load() != 2 || len(told) != 1 || told[0] != "DeviceNotReady" {
		t.Errorf("asked %d times, told %v", asked.Load(), told)
	}
	if own.Leaf().Subject.CommonName != "d1" || !cfg.Key.Public().(*ecdsa.PublicKey).Equal(own.Leaf().PublicKey) {
		t.Errorf("%v for another key", own.Leaf().Subject)
	}
	third := own.Leaf().NotAfter.Sub(own.Due()) * 3
	if all := own.Leaf().NotAfter.Sub(own.Leaf().NotBefore); third < all-time.Minute || third > all {
		t.Errorf("of %v a third is %v before the end", all, third/3)
	}
}

func TestWhoeverIsToldToStopWaitingLearnsWhyItWaited(t *testing.T) {
	cfg, _ := answering(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, 202, "EnrollmentAwaitsApproval", "3600") })
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Waiting = func(*device.Problem, time.Duration) { cancel() }
	_, err := device.Enroll(ctx, cfg)
	if !errors.Is(err, context.Canceled) || device.CodeOf(err) != "EnrollmentAwaitsApproval" {
		t.Errorf("%v", err)
	}
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	var asked atomic.Int32
	cfg, _ := answering(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); refuse(w, 403, "EnrollmentDelivered", "") })
	_, err := device.Enroll(t.Context(), cfg)
	p, ok := errors.AsType[*device.Problem](err)
	if !ok || p.Status != 403 || p.Code != "EnrollmentDelivered" || asked.Load() != 1 {
		t.Errorf("after %d attempts: %v", asked.Load(), err)
	}
	if got := err.Error(); got != "It is so. (403 EnrollmentDelivered)" {
		t.Errorf("%q", got)
	}
}

func TestWhatDoesNotEnrollIsSaidSo(t *testing.T) {
	var elsewhere atomic.Bool
	cfg, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/elsewhere":
			elsewhere.Store(true)
		case "/odd":
			io.WriteString(w, "<html>")
		default:
			http.NotFound(w, r)
		}
	})
	for path, want := range map[string]string{"/away": "NoEnrollment", "/odd": "none of its 0 certificates", "/nothing": `"404 page not found"`} {
		cfg.Path = path
		if _, err := device.Initialize(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if elsewhere.Load() {
		t.Error("the secret went where a redirect leads")
	}
}

func TestWhatIsMissingIsSaidBeforeAnythingIsSent(t *testing.T) {
	var asked atomic.Int32
	good, _ := answering(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); refuse(w, 403, "x", "") })
	for want, spoil := range map[string]func(*device.Config){
		"there is no key":         func(c *device.Config) { c.Key = nil },
		"no certificate to show":  func(c *device.Config) { c.Certificate = tls.Certificate{} },
		"expected https://HOST":   func(c *device.Config) { c.URL = "http://127.0.0.1:8443" },
		`URL "gateway:8443"`:      func(c *device.Config) { c.URL = "gateway:8443" },
		"expected https://HOST:P": func(c *device.Config) { c.URL += "/v1" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := device.Enroll(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the gateway was asked %d times", asked.Load())
	}
}

func TestAGatewayThatIsNotBelievedGetsNothing(t *testing.T) {
	var asked atomic.Int32
	cfg, _ := answering(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1) })
	cfg.RootCAs = testpki.NewRoot(t, "Web Root").Pool() // of the same name
	_, err := device.Enroll(t.Context(), cfg)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || asked.Load() != 0 {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
}
