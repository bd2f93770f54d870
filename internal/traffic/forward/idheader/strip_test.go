package idheader_test

import (
	"strings"
	"testing"

	"countersign.dev/internal/traffic/forward/idheader"
)

// ordinary are names that clients send all day.
func ordinary() []string {
	return []string{"Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Cookie", "Connection", "Cache-Control",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Ssl", "X-Request-Id", "X-Client-Data", "X-Client-Trace-Id", "X-Client-Version",
		"X-Client-Cnonce", "X-Client-Sandbox", "X-Api-Key", "X-Amzn-Trace-Id", "X-Amz-Date", "Sec-Fetch-Site", "Traceparent", "Client-Ip", "Tus-Resumable",
		"X-Auth-Token", "X-Auth-Types", "X-Auth", "X-Auth-User", "Authorization",
		"X", "", "X-", "-", "S", "Cl", "X-S", "X--"}
}

// T18: every field of every dialect and its relatives, however it is spelled.
func TestStrips(t *testing.T) {
	plan, err := idheader.Compile(idheader.Config{Set: []idheader.Header{{Name: "X-Client-Info", Value: "{subject}"}, {Name: "Device.Id", Value: "{cn}"}}})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Serial-Number", "X-Amzn-Mtls-Clientcert-Verify",
		"X-SSL", "X-SSL-Client-Verify", "X-SSL-Client-Cert", "X-SSL-CERT", "Ssl-Client-Verify", "Ssl-Client-Subject-Dn", "SSL_CLIENT_S_DN", "SSL_CLIENT_CERT", "Ssl-Cert-Chain",
		"Client-Cert", "Client-Cert-Chain", "Client-Certificate", "Client-Verify", "X-Client-Cert", "X-Client-Certificate", "X-ClientCert", "X-Client-Verify", "X-Client-Verified",
		"X-Auth-Subject", "X-Auth-Type", "X-Auth-Credential",
		"X-Client-DN", "X-Client-S-DN", "X-Client-I-DN", "X-Client-CN", "X-Client-Subject-DN", "X-Client-Issuer", "X-Client-Serial", "X-Client-Fingerprint", "X-Client-San-Uri",
		"X-Client-SSL-Verify", "X-Client-TLS-Cert", "X-MTLS-Subject", "X-Tls-Client-Subject", "Tls-Client-Cert", "X-ARR-ClientCert",
		"X-Forwarded-Client-Cert", "X-Forwarded-Client-Cert-Chain", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Tls-Client-Cert-Infos", "X-Forwarded-Ssl-Client-Cert",
	}
	spellings := func(name string) []string {
		all := []string{name, strings.ToLower(name), strings.ToUpper(name)}
		for _, separator := range []string{"_", ".", "+", "!", "~", "'"} {
			all = append(all, strings.ReplaceAll(name, "-", separator), strings.ToLower(strings.Replace(name, "-", separator, 1)))
		}
		return all
	}
	for _, name := range names {
		for _, s := range spellings(name) {
			if !idheader.Stripped([]byte(s)) || !plan.Strips([]byte(s)) {
				t.Errorf("%s reaches the backend", s)
			}
		}
	}
	for _, name := range []string{"X-Client-Info", "Device-Id"} {
		for _, s := range spellings(name) {
			if !plan.Strips([]byte(s)) {
				t.Errorf("%s, our own, reaches the backend", s)
			}
			if idheader.Stripped([]byte(s)) {
				t.Errorf("%s is stripped where nobody set it", s)
			}
		}
	}
	for _, name := range append(ordinary(), "X-Client-Info2", "X-Client-Inf") {
		if plan.Strips([]byte(name)) {
			t.Errorf("%s does not reach the backend", name)
		}
	}
}

// T24, RFC 9440 section 2.4.
func TestVaryNeedsStar(t *testing.T) {
	plan, err := idheader.Compile(idheader.Config{Set: []idheader.Header{{Name: "X-Client-Info", Value: "{subject}"}}})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		"":                                  false,
		"*":                                 false,
		"Accept-Encoding":                   false,
		"Accept-Encoding, Origin":           false,
		",, ,":                              false,
		"Client-Cert":                       true,
		"client-cert-chain":                 true,
		"Accept-Encoding,CLIENT-CERT":       true,
		"Accept , \tClient-Cert \t, Origin": true,
		"X-Forwarded-Client-Cert, Accept":   true,
	} {
		if got := idheader.VaryNeedsStar([]byte(value)); got != want {
			t.Errorf("%q: got %t", value, got)
		}
		if got := plan.VaryNeedsStar([]byte(value)); got != want {
			t.Errorf("plan, %q: got %t", value, got)
		}
	}
	own := []byte("Accept, x-client-info")
	if idheader.VaryNeedsStar(own) || !plan.VaryNeedsStar(own) {
		t.Error("a plan's own header")
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	plan, err := idheader.Compile(idheader.Config{Dialects: idheader.Dialects(), Set: []idheader.Header{{Name: "X-Client-Info", Value: "{subject}"}}})
	if err != nil {
		t.Fatal(err)
	}
	var names [][]byte
	for _, name := range append(ordinary(), "X_Client_Info", "X-Forwarded-Tls-Client-Cert-Info") {
		names = append(names, []byte(name))
	}
	vary := []byte("Accept-Encoding, Origin, Client-Cert")
	kept := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range names {
			if !plan.Strips(name) {
				kept++
			}
		}
		if !plan.VaryNeedsStar(vary) {
			kept++
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if kept == 0 {
		t.Error("everything was stripped")
	}
}

func BenchmarkStrips(b *testing.B) {
	plan, err := idheader.Compile(idheader.Config{Dialects: idheader.Dialects(), Set: []idheader.Header{{Name: "X-Client-Info", Value: "{subject}"}}})
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"Host", "User-Agent", "Accept", "Content-Type", "X-Forwarded-For", "X-Request-Id", "X-Client-Info", "X-SSL-Client-S-DN"} {
		b.Run(name, func(b *testing.B) {
			n := []byte(name)
			b.ReportAllocs()
			for b.Loop() {
				plan.Strips(n)
			}
		})
	}
}
