package backend

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

var peers = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}

func TestHeadersAreBelievedFromTheGatewayAlone(t *testing.T) {
	leaf := testpki.NewRoot(t, "Fleet").Client("MacID-1").X509
	fields := map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":"}
	v := verifier(t, Config{Dialect: RFC9440, Verifies: true, Peers: peers}, newClock())
	for from, want := range map[string]string{
		"10.0.0.5:1": "", "[::ffff:10.0.0.5]:1": "", "10.0.1.5:1": "10.0.1.5, which is not among Peers", "[::1]:1": "not among Peers", "@": "no IP address", "": "no IP address",
	} {
		r := request(fields)
		r.RemoteAddr = from
		who, err := v.Identify(r)
		if want == "" && (err != nil || who.CommonNames[0] != "MacID-1") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("from %q: %+v, %v; want %q", from, who, err, want)
		}
	}
}

func TestHeadersThatContradictThemselvesAreRefused(t *testing.T) {
	root := testpki.NewRoot(t, "Fleet")
	one, two := root.Client("MacID-1"), root.Client("MacID-2")
	pem := func(c *testpki.Certificate) string { return url.PathEscape(string(c.PEM())) }
	der := func(c *testpki.Certificate) string { return base64.StdEncoding.EncodeToString(c.X509.Raw) }
	for name, x := range map[string]struct {
		dialect Dialect
		fields  http.Header
		want    string
	}{
		"aws: another subject":          {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {pem(one)}, "X-Amzn-Mtls-Clientcert-Subject": {"CN=MacID-2"}}, "the subject is"},
		"aws: leaf and chain":           {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {pem(one)}, "X-Amzn-Mtls-Clientcert": {pem(two)}}, "both there"},
		"aws: a subject alone":          {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Subject": {"CN=MacID-1"}}, "Leaf is missing"},
		"aws: two leaves":               {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {pem(one) + pem(two)}}, "there are 2 certificates"},
		"aws: a header twice":           {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {pem(one), pem(one)}}, "is there 2 times"},
		"aws: no certificate":           {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {"hello"}}, "in PEM and nothing else"},
		"aws: a bad escape":             {AWS, http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {"%zz"}}, "invalid URL escape"},
		"nginx: no verdict":             {Nginx, http.Header{"X-Ssl-Client-Escaped-Cert": {pem(one)}}, "want SUCCESS, NONE or FAILED"},
		"nginx: another verdict":        {Nginx, http.Header{"X-Ssl-Client-Verify": {"success"}}, "want SUCCESS"},
		"nginx: success of nobody":      {Nginx, http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}}, "there is no certificate"},
		"nginx: none, and somebody":     {Nginx, http.Header{"X-Ssl-Client-Verify": {"NONE"}, "X-Ssl-Client-S-Dn": {"CN=MacID-1"}}, "is NONE"},
		"nginx: another serial":         {Nginx, http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}, "X-Ssl-Client-Escaped-Cert": {pem(one)}, "X-Ssl-Client-S-Dn": {"CN=MacID-1"}, "X-Ssl-Client-I-Dn": {"CN=Fleet"}, "X-Ssl-Client-Serial": {"00"}}, "the serial number is"},
		"rfc9440: no byte sequence":     {RFC9440, http.Header{"Client-Cert": {der(one)}}, "want a byte sequence"},
		"rfc9440: a parameter":          {RFC9440, http.Header{"Client-Cert": {":" + der(one) + ":;a=1"}}, "want a byte sequence"},
		"rfc9440: twice":                {RFC9440, http.Header{"Client-Cert": {":" + der(one) + ":", ":" + der(two) + ":"}}, "is there 2 times"},
		"rfc9440: no certificate":       {RFC9440, http.Header{"Client-Cert": {":AAAA:"}}, "Client-Cert"},
		"xfcc: two elements":            {XFCC, http.Header{"X-Forwarded-Client-Cert": {"Hash=aa,Hash=bb"}}, "several elements"},
		"xfcc: a subject twice":         {XFCC, http.Header{"X-Forwarded-Client-Cert": {`Subject="a";Subject="b"`}}, "subject is there twice"},
		"xfcc: no certificate":          {XFCC, http.Header{"X-Forwarded-Client-Cert": {`Subject="CN=MacID-1"`}}, "there is no certificate"},
		"xfcc: another hash":            {XFCC, http.Header{"X-Forwarded-Client-Cert": {`Hash=00;Cert="` + pem(one) + `";Subject="CN=MacID-1"`}}, "the hash is"},
		"xfcc: an open quote":           {XFCC, http.Header{"X-Forwarded-Client-Cert": {`Subject="CN=\"`}}, "not closed"},
		"xfcc: garbage":                 {XFCC, http.Header{"X-Forwarded-Client-Cert": {"yes"}}, "no Key=value"},
		"traefik: info alone":           {Traefik, http.Header{"X-Forwarded-Tls-Client-Cert-Info": {"Subject"}}, "without X-Forwarded-Tls-Client-Cert"},
		"traefik: no certificate":       {Traefik, http.Header{"X-Forwarded-Tls-Client-Cert": {"%%"}}, "illegal base64"},
		"aws: a device twice":           {AWS, http.Header{"X-Device-Id": {"1", "2"}}, "X-Device-Id is there 2 times"},
		"aws: a device with bad escape": {AWS, http.Header{"X-Device-Id": {"%"}}, "invalid URL escape"},
	} {
		v := verifier(t, Config{Dialect: x.dialect, Verifies: true, Peers: peers, Anonymous: true, Unverified: true}, newClock())
		r := request(nil)
		r.Header = x.fields
		if who, err := v.Identify(r); err == nil || who != nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %+v, %v; want %q", name, who, err, x.want)
		}
	}
}

// Without Verifies nobody has said that rfc9440's certificate was verified.
func TestACertificateIsUnverifiedUnlessItIsSaidOtherwise(t *testing.T) {
	leaf := testpki.NewRoot(t, "Fleet").Client("MacID-1").X509
	r := request(map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":"})
	if _, err := verifier(t, Config{Dialect: RFC9440, Peers: peers}, newClock()).Identify(r); err == nil {
		t.Error("it is believed")
	}
	who, err := verifier(t, Config{Dialect: RFC9440, Peers: peers, Unverified: true}, newClock()).Identify(r)
	if err != nil || who.Verified || who.Subject != "" || who.Certificate == nil || who.Anonymous() {
		t.Errorf("%+v, %v: want a certificate, and no name", who, err)
	}
}

func TestHandlersKnowWhoAsks(t *testing.T) {
	leaf := testpki.NewRoot(t, "Fleet").Client("MacID-1").X509
	v := verifier(t, Config{Dialect: RFC9440, Verifies: true, Peers: peers}, newClock())
	h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(Identity(r.Context()).Subject)) }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":"}))
	if w.Code != 200 || w.Body.String() != "CN=MacID-1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, request(nil)); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "certificate") {
		t.Errorf("%d %s: want 403, and no reason", w.Code, w.Body)
	}
	if Identity(t.Context()) != nil || Identity(WithIdentity(t.Context(), &Client{Verified: true})).Verified != true {
		t.Error("a context without an identity has one, or the reverse")
	}
}

func TestFaultsOfAConfigurationAreSaidTogether(t *testing.T) {
	for want, cfg := range map[string]Config{
		`dialect "": want token`:    {},
		"aws without Peers":         {Dialect: AWS},
		"token without Audience":    {Dialect: Token},
		"token without Keys":        {Dialect: Token},
		`Keys has "ftp://x"`:        {Dialect: Token, Audience: "a", Keys: []string{"ftp://x"}},
		"has an address that is no": {Dialect: AWS, Peers: []netip.Prefix{{}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Whatever is sent, who is verified has a certificate that says who that is.
func FuzzDialects(f *testing.F) {
	leaf := testpki.NewRoot(f, "Fleet").Client("MacID-1")
	pem, der := url.PathEscape(string(leaf.PEM())), base64.StdEncoding.EncodeToString(leaf.X509.Raw)
	f.Add(pem, "CN=MacID-1", "CN=Fleet", "SUCCESS")
	f.Add(":"+der+":", "", "", "")
	f.Add(der+","+der, "Subject", "", "FAILED:x")
	f.Add(`Hash=aa;Cert="`+pem+`";Subject="CN=\"a";URI=b`, "%41", "", "NONE")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		for _, x := range []struct {
			dialect Dialect
			names   [4]string
		}{
			{AWS, [4]string{"X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert-Issuer", "X-Amzn-Mtls-Clientcert"}},
			{Nginx, [4]string{"X-SSL-Client-Escaped-Cert", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN", "X-SSL-Client-Verify"}},
			{RFC9440, [4]string{"Client-Cert", "X-Device-Id", "", ""}},
			{XFCC, [4]string{"X-Forwarded-Client-Cert", "X-Device-State", "", ""}},
			{Traefik, [4]string{"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "", ""}},
		} {
			r := request(nil)
			for i, value := range []string{a, b, c, d} {
				if x.names[i] != "" && value != "" {
					r.Header.Set(x.names[i], value)
				}
			}
			who, err := verifier(t, Config{Dialect: x.dialect, Peers: peers, Verifies: true, Anonymous: true, Unverified: true}, newClock()).Identify(r)
			if err == nil && (who.Verified || who.Subject != "") && who.Certificate == nil {
				t.Errorf("%s: %+v", x.dialect, who)
			}
		}
	})
}
