package ca

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/wire/dn"
)

// An oracle runs openssl in a directory.
type oracle struct {
	t       *testing.T
	program string
	dir     string
}

func newOracle(t *testing.T) oracle {
	return oracle{t, testrequire.Program(t, "openssl"), t.TempDir()}
}

func (o oracle) try(args ...string) (string, error) {
	c := exec.Command(o.program, args...)
	c.Dir = o.dir
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

func (o oracle) run(args ...string) string {
	o.t.Helper()
	out, err := o.try(args...)
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (o oracle) fails(want string, args ...string) {
	o.t.Helper()
	out, err := o.try(args...)
	if err == nil || !strings.Contains(out, want) {
		o.t.Errorf("openssl %s: %v, want a failure with %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

func TestOpenSSLVerifiesWhatIsIssued(t *testing.T) {
	o := newOracle(t)
	for _, kind := range []issuance.KeyType{issuance.ECDSAP256, issuance.ECDSAP384, issuance.RSA2048} {
		t.Run(string(kind), func(t *testing.T) {
			o := oracle{t, o.program, t.TempDir()}
			a, err := Init(Founding{Config: Config{Dir: filepath.Join(o.dir, "pki")}, Key: kind})
			if err != nil {
				t.Fatal(err)
			}
			save := func(name string, r Request) Issued {
				t.Helper()
				r.CommonName, r.Key = name, kind
				issued, err := a.Issue(r)
				if err != nil {
					t.Fatal(err)
				}
				if err := issued.Save(FilesFor(o.dir, name)); err != nil {
					t.Fatal(err)
				}
				return issued
			}
			dev := save("device", Request{Names: []string{"uri:spiffe://example.com/device/7", "email:ops@example.com"}})
			save("server", Request{Profile: issuance.Server, Names: []string{"dns:localhost", "dns:*.example.com", "ip:127.0.0.1", "ip:::1"}})

			strict := []string{"verify", "-x509_strict", "-check_ss_sig", "-CAfile", "pki/root.crt", "-untrusted", "pki/issuing.crt"}
			o.run(append(strict, "-purpose", "sslclient", "device.crt")...)
			o.run(append(strict, "-purpose", "sslserver", "-verify_hostname", "a.example.com", "server.crt")...)
			o.run(append(strict, "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "server.crt")...)
			o.fails("purpose", append(strict, "-purpose", "sslserver", "device.crt")...)
			o.fails("purpose", append(strict, "-purpose", "sslclient", "server.crt")...)
			o.run("verify", "-x509_strict", "-CAfile", "pki/ca.crt", "device.crt")
			o.run("verify", "-x509_strict", "-partial_chain", "-trusted", "pki/issuing.crt", "device.crt")
			for _, key := range []string{"pki/root", "pki/issuing", "device", "server"} {
				if k, c := o.run("pkey", "-in", key+".key", "-pubout"), o.run("x509", "-in", key+".crt", "-noout", "-pubkey"); k != c {
					t.Errorf("%s: the key is not the certificate's", key)
				}
			}
			if sum := o.run("pkey", "-in", "device.key", "-check", "-noout"); !strings.Contains(sum, "valid") {
				t.Error(sum)
			}

			whole := append(strict, "-crl_check_all", "-CRLfile", "pki/crl.pem", "-CRLfile", "pki/root-crl.pem")
			o.run(append(whole, "device.crt")...)
			if _, err := a.Revoke(dev.Certificate.SerialNumber, crl.KeyCompromise, time.Time{}); err != nil {
				t.Fatal(err)
			}
			o.fails("certificate revoked", append(whole, "device.crt")...)
			o.run(append(whole, "server.crt")...)
			o.run("crl", "-in", "pki/crl.pem", "-noout", "-verify", "-CAfile", "pki/ca.crt")
			o.run("crl", "-in", "pki/root-crl.pem", "-noout", "-verify", "-CAfile", "pki/root.crt")
			text := o.run("crl", "-in", "pki/crl.pem", "-noout", "-text")
			for _, want := range []string{"Serial Number: " + dn.Serial(dev.Certificate.SerialNumber), "Key Compromise", "X509v3 CRL Number", "Version 2", "X509v3 Authority Key Identifier"} {
				if !strings.Contains(text, want) {
					t.Errorf("the list has no %q:\n%s", want, text)
				}
			}
			if _, err := a.RevokeCertificate(a.Issuing(), crl.CACompromise, time.Time{}); err != nil {
				t.Fatal(err)
			}
			o.fails("certificate revoked", append(whole, "server.crt")...)
		})
	}
}

// A request made by openssl, the answer judged by openssl.
func TestOpenSSLRequests(t *testing.T) {
	o := newOracle(t)
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(o.dir, "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		args    []string
		profile issuance.Profile
		refused string
		note    string
	}{
		{"ecdsa", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}, issuance.Device, "", ""},
		{"p521", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"}, issuance.Client, "", ""},
		{"rsa", []string{"-newkey", "rsa:2048"}, issuance.Client, "", ""},
		{"pss", []string{"-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}, issuance.Client, "", ""},
		{"ed25519", []string{"-newkey", "ed25519"}, issuance.Client, "", ""},
		{"names", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
			"-addext", "subjectAltName=DNS:a.example,IP:192.0.2.7,URI:urn:x:1,email:a@b.example"}, issuance.Server, "", ""},
		{"kind", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-addext", "keyUsage=digitalSignature,keyEncipherment",
			"-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=CA:FALSE"}, issuance.Device, "", "keyEncipherment"},

		{"salt", []string{"-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:16"}, issuance.Client, "salt as long as the hash", ""},
		{"ca", []string{"-newkey", "rsa:2048", "-addext", "basicConstraints=critical,CA:TRUE"}, issuance.Device, "CA:true", ""},
		{"eku", []string{"-newkey", "rsa:2048", "-addext", "extendedKeyUsage=serverAuth,clientAuth"}, issuance.Device, "serverAuth", ""},
		{"usage", []string{"-newkey", "rsa:2048", "-addext", "keyUsage=keyCertSign"}, issuance.Device, "keyCertSign", ""},
		{"othername", []string{"-newkey", "rsa:2048", "-addext", "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:root"}, issuance.Device, "otherName", ""},
		{"wildcard", []string{"-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:*.example.com"}, issuance.Device, "wildcard", ""},
		{"dirty", []string{"-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:a b.example"}, issuance.Device, "character ' '", ""},
		{"weak", []string{"-newkey", "rsa:1024"}, issuance.Device, "1024 bits", ""},
		{"sha1", []string{"-newkey", "rsa:2048", "-sha1"}, issuance.Device, "SHA1-RSA", ""},
		{"curve", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, issuance.Device, "not a certificate signing request", ""},
		{"dsa", []string{"-newkey", "dsa:dsa.param"}, issuance.Device, "the key is *dsa.PublicKey", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := oracle{t, o.program, o.dir}
			if tc.name == "dsa" {
				o.run("dsaparam", "-out", "dsa.param", "2048")
			}
			o.run(append([]string{"req", "-new", "-nodes", "-config", os.DevNull, "-subj", "/O=Example/CN=" + tc.name,
				"-keyout", tc.name + ".key", "-out", tc.name + ".csr"}, tc.args...)...)
			csr, err := os.ReadFile(filepath.Join(o.dir, tc.name+".csr"))
			if err != nil {
				t.Fatal(err)
			}
			issued, err := a.Sign(csr, SignRequest{Profile: tc.profile})
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("error %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			notes := strings.Join(issued.Notes, "; ")
			if tc.note == "" && notes != "" || !strings.Contains(notes, tc.note) {
				t.Errorf("notes %q, want %q", notes, tc.note)
			}
			if err := issued.Save(Files{Certificate: filepath.Join(o.dir, tc.name+".crt")}); err != nil {
				t.Fatal(err)
			}
			purpose := "sslclient"
			if tc.profile == issuance.Server {
				purpose = "sslserver"
			}
			o.run("verify", "-x509_strict", "-purpose", purpose, "-CAfile", "pki/root.crt", "-untrusted", "pki/issuing.crt", tc.name+".crt")
			if got := o.run("x509", "-in", tc.name+".crt", "-noout", "-subject", "-nameopt", "RFC2253"); got != "subject=CN="+tc.name+",O=Example\n" {
				t.Error(got)
			}
			if k, c := o.run("pkey", "-in", tc.name+".key", "-pubout"), o.run("x509", "-in", tc.name+".crt", "-noout", "-pubkey"); k != c {
				t.Error("the key is not the request's")
			}
			if tc.name == "names" {
				want := "DNS:a.example, email:a@b.example, IP Address:192.0.2.7, URI:urn:x:1"
				if got := o.run("x509", "-in", "names.crt", "-noout", "-ext", "subjectAltName"); !strings.Contains(got, want) {
					t.Errorf("names %s, want %s", got, want)
				}
			}
		})
	}
}
