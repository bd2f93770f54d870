package idheader_test

import (
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/identify"
)

func TestTargetsAreToldWhoARequestHasShownToBe(t *testing.T) {
	plan, err := idheader.Compile(idheader.Config{Dialects: []idheader.Dialect{idheader.Nginx}, Set: []idheader.Header{
		{Name: "X-Who", Value: "{auth_type}:{auth_credential}:{auth_subject}"},
		{Name: "X-Both", Value: "{subject} {auth_subject}"},
		{Name: "X-Client", Value: "{subject}"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	once, denial := plan.Render(nil, identify.Anonymous(), idheader.Connection{})
	if denial != nil || strings.Contains(string(once), "X-Who") {
		t.Fatalf("before anything was shown: %q, %v", once, denial)
	}
	for subject, want := range map[string]string{
		"acme":                      "acme",
		"a\r\nX-Auth-Subject: root": "a%0D%0AX-Auth-Subject: root",
		"Jos\u00e9":                 "Jos%C3%A9",
		"\x00\xff":                  "%00%FF",
	} {
		got, denial := plan.Credential(once[:len(once):len(once)], identify.Anonymous(), idheader.Connection{}, idheader.Credential{Subject: subject, Type: "jwt", Name: "apps"})
		if denial != nil {
			t.Errorf("%q: %v", subject, denial)
			continue
		}
		added := strings.TrimPrefix(string(got), string(once))
		if want := "X-Auth-Subject: " + want + "\r\nX-Auth-Type: jwt\r\nX-Auth-Credential: apps\r\nX-Who: jwt:apps:" + want + "\r\n"; added != want {
			t.Errorf("%q:\n got %q\nwant %q", subject, added, want)
		}
	}
	small, err := idheader.Compile(idheader.Config{Limits: idheader.Limits{Header: 100}})
	if err != nil {
		t.Fatal(err)
	}
	if _, denial := small.Credential(nil, identify.Anonymous(), idheader.Connection{}, idheader.Credential{Subject: strings.Repeat("x", 200), Type: "jwt", Name: "apps"}); denial == nil || denial.Code != countersign.IdentityTooLarge {
		t.Errorf("beyond the limit: %v", denial)
	}
}

func TestNobodyElseSetsWhatSaysWhoItWas(t *testing.T) {
	for _, name := range []string{"X-Auth-Subject", "x_auth_type", "X-AUTH.CREDENTIAL"} {
		if _, err := idheader.Compile(idheader.Config{Set: []idheader.Header{{Name: name, Value: "{subject}"}}}); err == nil || !strings.Contains(err.Error(), "require sets it already") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection has shown nothing but its certificate, and nothing else is offered for it.
func TestAConnectionIsOfferedWhatItCanTell(t *testing.T) {
	_, err := idheader.CompileText("{nobody}")
	if err == nil || !strings.Contains(err.Error(), "{tls_cipher}") || strings.Contains(err.Error(), "{auth_") {
		t.Errorf("%v, want the placeholders that are about connections", err)
	}
	if _, err = idheader.CompileText("{auth_subject}"); err == nil || !strings.Contains(err.Error(), "a connection has shown nothing but its certificate") {
		t.Errorf("%v, want to be told why not", err)
	}
}
