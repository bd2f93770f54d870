package handshake

import (
	"crypto/fips140"
	"crypto/tls"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Whether a FIPS module is in use is decided when a process starts.
func TestFIPSPoliciesOnTheWire(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("this process is the one that has the module")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTLSPoliciesOnTheWire$")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=on")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with a module: %v\n%s", err, out)
	}
}

func TestTLSPoliciesOnTheWire(t *testing.T) {
	w := newWorld(t)
	const cbc, cbcSHA2, rsa = tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256
	chacha := tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	for _, c := range []struct {
		policy  string
		version uint16
		suites  []uint16
		groups  []tls.CurveID
		ok      bool
	}{
		{"modern", tls.VersionTLS13, nil, nil, true},
		{"modern", tls.VersionTLS13, nil, []tls.CurveID{tls.X25519MLKEM768}, true},
		{"modern", tls.VersionTLS13, nil, []tls.CurveID{tls.CurveP384}, true},
		{"modern", tls.VersionTLS12, nil, nil, true},
		{"modern", tls.VersionTLS12, []uint16{chacha}, nil, true},
		{"modern", tls.VersionTLS12, []uint16{cbc}, nil, false},
		{"modern", tls.VersionTLS11, []uint16{cbc}, nil, false},
		{"modern", tls.VersionTLS10, []uint16{cbc}, nil, false},
		{"tls13", tls.VersionTLS13, nil, nil, true},
		{"tls13", tls.VersionTLS12, nil, nil, false},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS12, nil, nil, true},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS12, []uint16{cbc}, nil, true},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS12, []uint16{cbcSHA2, rsa}, nil, false},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS12, []uint16{chacha}, nil, false},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS13, nil, nil, false},
		{"ELBSecurityPolicy-2016-08", tls.VersionTLS11, []uint16{cbc}, nil, false},
		{"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", tls.VersionTLS13, nil, nil, true},
		{"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", tls.VersionTLS13, nil, []tls.CurveID{tls.X25519MLKEM768}, false},
		{"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", tls.VersionTLS12, []uint16{cbc}, nil, false},
		{"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", tls.VersionTLS13, nil, []tls.CurveID{tls.SecP256r1MLKEM768}, true},
		{"ELBSecurityPolicy-TLS13-1-3-PQ-2025-09", tls.VersionTLS12, nil, nil, false},
		{"ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04", tls.VersionTLS13, nil, nil, true},
	} {
		if strings.Contains(c.policy, "FIPS") != fips140.Enabled() {
			continue // the module narrows every policy, and it alone makes those for FIPS
		}
		policy, err := PolicyByName(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p")), TLS: policy}))
		config := at(w.client("example.com", nil), c.version)
		config.CipherSuites, config.CurvePreferences = c.suites, c.groups
		_, err, out := r.connect(config)
		if (err == nil) != c.ok || out.Refused == c.ok {
			t.Errorf("%s with version %s, suites %x, groups %v: the client got %v, denial %v; want it to work: %v",
				c.policy, tls.VersionName(c.version), c.suites, c.groups, err, out.Denial, c.ok)
		}
	}
}
