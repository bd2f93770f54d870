package h2spec

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/internal/testrequire"
)

// An exception is a case that fails because the standard of today asks for
// something else than the one that h2spec was written for, which is RFC 7540.
type exception struct {
	clause string // of RFC 9113
	why    string
}

// exceptions are the cases that may fail, by the name that h2spec takes for
// them on its command line.
var exceptions = map[string]exception{}

// cases is how many h2spec has, the strict ones included: fewer means that it
// gave up, or that the report is read wrongly.
const cases = 146

func TestAGatewayConformsToHTTP2(t *testing.T) {
	program := testrequire.Program(t, "h2spec")
	frontend := lendCertificate(t, serve(t, backend(t)))

	report := filepath.Join(t.TempDir(), "report.xml")
	host, port, _ := net.SplitHostPort(frontend)
	// A gateway that answers nothing at all would take it five minutes.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--host", host, "--port", port,
		"--path", "/any", "--strict", "--timeout", "2", "--junit-report", report)
	said, err := cmd.CombinedOutput() // that cases failed is in the report as well
	results := read(t, report)
	if t.Failed() || len(results) == 0 {
		t.Fatalf("h2spec: %v\n%s", err, said)
	}
	for name, r := range results {
		e, excepted := exceptions[name]
		switch {
		case r.fault == "" && excepted:
			t.Errorf("%s passes: take it out of the exceptions", name)
		case r.fault != "" && !excepted:
			t.Errorf("%s: %s\n%s", name, r.description, r.fault)
		case r.fault != "":
			t.Logf("%s: %s, but RFC 9113 section %s: %s", name, r.description, e.clause, e.why)
		}
	}
	for name := range exceptions {
		if _, ran := results[name]; !ran {
			t.Errorf("%s is among the exceptions, but no case of h2spec", name)
		}
	}
	if len(results) != cases {
		t.Errorf("h2spec ran %d cases, not %d:\n%s", len(results), cases, said)
	}
}

// A result is what became of a case.
type result struct{ description, fault string }

// read returns the results by the name of the case.
func read(t *testing.T, report string) map[string]result {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("no report: %v", err)
		return nil
	}
	var suites struct {
		Suites []struct {
			Cases []struct {
				Package     string  `xml:"package,attr"`
				Description string  `xml:"classname,attr"`
				Failure     *string `xml:"failure"`
				Error       *string `xml:"error"`
				Skipped     *string `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Errorf("the report cannot be read: %v", err)
		return nil
	}
	results := map[string]result{}
	for _, s := range suites.Suites {
		for i, c := range s.Cases {
			r := result{description: c.Description}
			switch {
			case c.Failure != nil:
				r.fault = "failed: " + *c.Failure
			case c.Error != nil:
				r.fault = "failed: " + *c.Error
			case c.Skipped != nil:
				r.fault = "was not run"
			}
			results[fmt.Sprintf("%s/%d", c.Package, i+1)] = r
		}
	}
	return results
}

// lendCertificate returns the address of a HAProxy that has a client
// certificate, which h2spec cannot have, and passes on all else as it comes.
func lendCertificate(t *testing.T, g gateway) string {
	t.Helper()
	config := filepath.Join(g.dir, "haproxy.cfg")
	write(t, config, `
global
	maxconn 2000
defaults
	mode tcp
	timeout connect 10s
	timeout client 60s
	timeout server 60s
listen lend
	bind fd@3
	server gateway `+g.address+` ssl crt `+g.client+` ca-file `+g.authority+` sni str(localhost) alpn h2
`)
	return testrequire.Peer(t, "haproxy", func(string) []string { return []string{"-db", "-q", "-f", config} })
}
