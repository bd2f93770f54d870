package tlspolicy

import (
	"crypto/fips140"
	"crypto/tls"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestByName(t *testing.T) {
	insecure := map[uint16]bool{}
	for _, s := range tls.InsecureCipherSuites() {
		insecure[s.ID] = true
	}
	for _, name := range Names() {
		p, err := ByName(name)
		refused := strings.Contains(name, "RFC9151") || strings.Contains(name, "CNSA") || strings.Contains(name, "FIPS") && !fips140.Enabled()
		if refused != (err != nil) {
			t.Errorf("%s: error %v, want one: %v", name, err, refused)
		}
		if err != nil {
			continue
		}
		if p.Name != name || p.Validate() != nil {
			t.Errorf("%s: %+v, %v", name, p, p.Validate())
		}
		for _, s := range p.CipherSuites {
			if insecure[s] {
				t.Errorf("%s offers %s", name, tls.CipherSuiteName(s))
			}
		}
		if pq := slices.Contains(p.Groups, tls.X25519MLKEM768); pq != (strings.Contains(name, "PQ") || !strings.HasPrefix(name, awsPrefix)) {
			t.Errorf("%s: post-quantum key exchange %v", name, pq)
		}
		if pre12 := strings.Contains(strings.Join(p.Notes, " "), "1.1"); pre12 != (strings.Contains(name, "-1-1-") || strings.Contains(name, "-1-0-") ||
			strings.HasSuffix(name, "2016-08") || strings.HasSuffix(name, "2015-05") || strings.HasSuffix(name, "FS-2018-06")) {
			t.Errorf("%s: notes %q", name, p.Notes)
		}
	}
	for name, want := range map[string]string{
		"":                          "want modern, tls13 or",
		"Modern":                    "want modern, tls13 or",
		"ELBSecurityPolicy-2016-09": "AWS has no policy of that name",
		"ELBSecurityPolicy-TLS13-1-3-RFC9151-FIPS-2023-07": "cannot be confined",
	} {
		if _, err := ByName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

// Whether a FIPS module is in use is decided when a process starts.
func TestFIPSPoliciesNeedAFIPSModule(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("this process is the one that has the module")
	}
	if _, err := ByName("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09"); err == nil || !strings.Contains(err.Error(), "GODEBUG=fips140=on") {
		t.Errorf("without a module: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestByName$")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=on")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with a module: %v\n%s", err, out)
	}
}

func TestAPolicyPutTogetherByHandIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Policy){
		"":                        func(*Policy) {},
		"versions TLS 1.0":        func(p *Policy) { p.MinVersion = tls.VersionTLS10 },
		"to TLS 1.2":              func(p *Policy) { p.MinVersion, p.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 },
		"no cipher suites":        func(p *Policy) { p.CipherSuites = nil },
		"no groups":               func(p *Policy) { p.Groups = nil },
		"RC4_128_SHA is insecure": func(p *Policy) { p.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA} },
	} {
		p := Modern()
		change(&p)
		if err := p.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
