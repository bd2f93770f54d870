package origin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
)

const accessKey, secretKey = "test-access-key", "test-secret-key"

// An s3Server is a real one, with a bucket called pki that keeps versions.
type s3Server struct {
	t        *testing.T
	ca       string
	endpoint string
	client   *minio.Client
}

func newS3Server(t *testing.T) *s3Server {
	t.Helper()
	program := testrequire.Program(t, "versitygw")
	dir := t.TempDir()
	root := testpki.NewRoot(t, "Object Store Root")
	cert, key := root.Server("localhost").Write(dir, "server")
	for _, name := range []string{"data", "versions", "sidecar"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	address := testport.For(t)
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "--access", accessKey, "--secret", secretKey, "--port", address,
		"--cert", cert, "--key", key, "--quiet",
		"posix", "--sidecar", filepath.Join(dir, "sidecar"), "--versioning-dir", filepath.Join(dir, "versions"), filepath.Join(dir, "data"))
	var output bytes.Buffer
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		server.Wait() // it was killed
		if t.Failed() {
			t.Logf("versitygw:\n%s", output.String())
		}
	})
	_, port, _ := net.SplitHostPort(address)
	s := &s3Server{t: t, ca: testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), root.PEM()), endpoint: "https://localhost:" + port}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: root.Pool()}}
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	s.client, err = minio.New("localhost:"+port, &minio.Options{Secure: true, Transport: transport, Region: "us-east-1",
		Creds: credentials.NewStaticV4(accessKey, secretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // until it listens
		err := s.client.MakeBucket(t.Context(), "pki", minio.MakeBucketOptions{})
		if err == nil {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("versitygw does not come up: %v\n%s", err, output.String())
		}
	}
	if err := s.client.EnableVersioning(t.Context(), "pki"); err != nil {
		t.Fatal(err)
	}
	return s
}

// put returns the version.
func (s *s3Server) put(key, text string) string {
	s.t.Helper()
	info, err := s.client.PutObject(s.t.Context(), "pki", key, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return info.VersionID
}

func (s *s3Server) at(url string) origin.Spec {
	return origin.Spec{URL: url, CA: s.ca, Endpoint: s.endpoint, Timeout: 20 * time.Second, Limit: 1 << 20}
}

// clearAWS takes whatever the machine says about AWS out of a test.
func clearAWS(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
}

func TestObjectsAreFetched(t *testing.T) {
	s := newS3Server(t)
	clearAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	const one, two, key = pem + "1", pem + "2", "lists/100% a+b.crl"
	first := s.put(key, one)
	text, v, err := fetch(t, s.at("s3://pki/"+key), origin.Version{})
	if text != one || v.ETag == "" || err != nil {
		t.Fatalf("got %q, %+v, %v", text, v, err)
	}
	if text, _, err := fetch(t, s.at("s3://pki/"+key), v); text != "" || err != origin.ErrUnchanged {
		t.Errorf("what is known is fetched again: %q, %v", text, err)
	}
	s.put(key, two)
	if text, _, err := fetch(t, s.at("s3://pki/"+key), v); text != two || err != nil {
		t.Errorf("what is new is not fetched: %q, %v", text, err)
	}
	if first == "" {
		t.Fatal("the server keeps no versions")
	}
	if text, _, err := fetch(t, s.at("s3://pki/"+key+"?versionId="+first), origin.Version{}); text != one || err != nil {
		t.Errorf("of the version asked for, got %q, %v", text, err)
	}

	t.Run("the endpoint of the environment", func(t *testing.T) {
		spec := s.at("s3://pki/" + key)
		spec.Endpoint = ""
		t.Setenv("AWS_ENDPOINT_URL", "https://localhost:1")
		t.Setenv("AWS_ENDPOINT_URL_S3", s.endpoint+"/")
		if text, _, err := fetch(t, spec, origin.Version{}); text != two || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
	t.Run("the role of a container", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"AccessKeyId":"`+accessKey+`","SecretAccessKey":"`+secretKey+`","Expiration":"2100-01-01T00:00:00Z"}`)
		}))
		defer agent.Close()
		defer http.DefaultClient.CloseIdleConnections()
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL)
		if text, _, err := fetch(t, s.at("s3://pki/"+key), origin.Version{}); text != two || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
	s.put("large", strings.Repeat("x", 1<<20+1))
	s.put("page.html", "<html>")
	for _, tc := range []struct {
		name, url, want string
		change          func(t *testing.T, spec *origin.Spec)
	}{
		{"no such object", "s3://pki/missing.crl", `has no object "missing.crl" in the bucket "pki"`, nil},
		{"no such bucket", "s3://elsewhere/a.crl", `has no bucket "elsewhere"`, nil},
		{"too large", "s3://pki/large", "it is larger than 1048576 bytes", nil},
		{"HTML", "s3://pki/page.html", "sends an HTML page", nil},
		{"nobody's credentials", "s3://pki/" + key, "answers 403 AccessDenied", func(t *testing.T, _ *origin.Spec) {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
		}},
		{"wrong credentials", "s3://pki/" + key, "answers 403 SignatureDoesNotMatch", func(t *testing.T, _ *origin.Spec) {
			t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		}},
		{"another authority", "s3://pki/" + key, "unknown authority", func(_ *testing.T, spec *origin.Spec) { spec.CA = "" }},
		{"not encrypted", "s3://pki/" + key, "want an https:// URL", func(t *testing.T, spec *origin.Spec) {
			spec.Endpoint = ""
			t.Setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := s.at(tc.url)
			if tc.change != nil {
				tc.change(t, &spec)
			}
			_, _, err := fetch(t, spec, origin.Version{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want %q", err, tc.want)
			}
		})
	}
}

// A server that redirects, or does not come to an end, is no better for
// speaking S3.
func TestABadObjectStoreIsNamed(t *testing.T) {
	clearAWS(t)
	w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
		switch {
		case strings.HasSuffix(r.URL.Path, "/redirect"):
			http.Redirect(w, r, "https://10.0.0.1/a.crl", http.StatusTemporaryRedirect)
		case strings.HasSuffix(r.URL.Path, "/slow"):
			io.WriteString(w, pem)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			endless(w, r)
		}
	})
	for key, want := range map[string]string{"redirect": "answers 307", "slow": "did not arrive within 500ms", "endless": "larger than"} {
		spec := w.at("")
		spec.Endpoint, spec.URL, spec.Timeout, spec.Region = spec.URL, "s3://bucket/"+key, 500*time.Millisecond, "us-east-1"
		if key == "endless" {
			spec.Timeout = 20 * time.Second
		}
		if _, _, err := fetch(t, spec, origin.Version{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", key, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spec := w.at("")
	spec.Endpoint, spec.URL = spec.URL, "s3://bucket/a.crl"
	if _, err := origin.Fetch(ctx, spec, origin.Version{}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
