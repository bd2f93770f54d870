package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// An opensslPKI is a PKI made by openssl alone: what a gateway has to do with
// certificates that we had no hand in. It is made once and copied for scripts.
//
//	root.crt                        the anchor that scripts trust; signs intermediate.crt
//	NAME.crt NAME.key               a certificate, its key
//	NAME.pem                        what its holder presents, leaf first, then the key
//	none.crl revoked.crl good.crl   lists of the intermediate: of nobody, of revoked, of revoked and good
//	stale.crl                       revoked.crl as of long ago
type opensslPKI struct {
	dir  string
	once sync.Once
	err  error
}

// pkiConfig is all that openssl is told about authorities and extensions.
const pkiConfig = `
[ca]
default_ca = intermediate
[intermediate]
database = index.txt
new_certs_dir = .
certificate = intermediate.crt
private_key = intermediate.key
rand_serial = yes
crlnumber = crlnumber
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
preserve = yes
unique_subject = no
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[req]
distinguished_name = req
string_mask = utf8only
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[named]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:gate7.example.com,URI:spiffe://example.com/gate7
[server]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost,DNS:example.com,DNS:*.example.com,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,IP:127.0.0.4
`

// cmdOpensslPKI is the command "openssl-pki DIR": the PKI, in DIR.
func (p *opensslPKI) cmdOpensslPKI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: openssl-pki DIR")
	}
	p.once.Do(func() { p.err = p.make() })
	ts.Check(p.err)
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(p.dir)))
	keys, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.key"))
	ts.Check(err)
	for _, key := range keys {
		ts.Check(os.Chmod(key, 0o600)) // CopyFS makes every file writable by the group
	}
}

// A leaf is a certificate to be made: by the intermediate as a client's, unless
// it says otherwise.
type leaf struct {
	name, subject string
	issuer        string
	extensions    string
	key           []string // openssl genpkey's arguments
	from, to      time.Duration
}

func (p *opensslPKI) make() error {
	const day = 24 * time.Hour
	for name, content := range map[string]string{"openssl.cnf": pkiConfig, "index.txt": "", "crlnumber": "01\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	rsa1024 := []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"}
	ed25519 := []string{"-algorithm", "ED25519"}
	for _, l := range []leaf{
		{name: "root", subject: "/O=Example/CN=Example Root"},
		{name: "stranger-root", subject: "/O=Example/CN=Example Root"}, // by name, it is the same
		{name: "intermediate", subject: "/O=Example/CN=Example Devices", issuer: "root", extensions: "authority"},
		{name: "second", subject: "/CN=Second", issuer: "intermediate", extensions: "authority"},
		{name: "third", subject: "/CN=Third", issuer: "second", extensions: "authority"},

		{name: "server", subject: "/CN=first server", issuer: "root", extensions: "server"},
		{name: "renewed", subject: "/CN=renewed server", issuer: "root", extensions: "server"},
		{name: "lapsed", subject: "/CN=lapsed server", extensions: "server", from: -2 * day, to: -day},

		{name: "good", subject: "/C=DE/O=Example, Inc./OU=devices/CN=gate7", extensions: "named"},
		{name: "visitor", subject: "/O=Example/OU=visitors/CN=visitor"},
		{name: "expired", subject: "/CN=expired", from: -2 * day, to: -day},
		{name: "notyet", subject: "/CN=notyet", from: day, to: 2 * day},
		{name: "stranger", subject: "/CN=stranger", issuer: "stranger-root", extensions: "client"},
		{name: "purpose", subject: "/CN=purpose", extensions: "server"},
		{name: "revoked", subject: "/CN=revoked"},
		{name: "deep", subject: "/CN=deep", issuer: "third", extensions: "client"},
		{name: "weak", subject: "/CN=weak", key: rsa1024},
		{name: "ed25519", subject: "/CN=ed25519", key: ed25519},
		{name: "hostile", subject: "/O=quote\" - Success\nforged line/CN=\r\nX-Forged: 1"},
	} {
		if err := p.issue(l); err != nil {
			return err
		}
	}
	return p.lists()
}

func (p *opensslPKI) issue(l leaf) error {
	if l.key == nil {
		l.key = []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	}
	if l.extensions == "" {
		l.extensions = "client"
	}
	key, csr, crt := l.name+".key", l.name+".csr", l.name+".crt"
	if err := p.openssl(append([]string{"genpkey", "-out", key}, l.key...)...); err != nil {
		return err
	}
	request := []string{"req", "-config", "openssl.cnf", "-utf8", "-new", "-key", key, "-subj", l.subject}
	if l.issuer == "" && l.name[len(l.name)-4:] == "root" {
		return p.openssl(append(request, "-x509", "-days", "30", "-extensions", "authority", "-out", crt)...)
	}
	if err := p.openssl(append(request, "-out", csr)...); err != nil {
		return err
	}
	var err error
	if l.issuer == "" {
		now, utc := time.Now().UTC(), "20060102150405Z"
		if l.to == 0 {
			l.from, l.to = -time.Hour, 30*24*time.Hour
		}
		err = p.openssl("ca", "-config", "openssl.cnf", "-batch", "-notext", "-in", csr, "-out", crt, "-extensions", l.extensions,
			"-startdate", now.Add(l.from).Format(utc), "-enddate", now.Add(l.to).Format(utc))
	} else {
		err = p.openssl("x509", "-req", "-in", csr, "-out", crt, "-CA", l.issuer+".crt", "-CAkey", l.issuer+".key",
			"-days", "30", "-extfile", "openssl.cnf", "-extensions", l.extensions)
	}
	if err != nil {
		return err
	}
	presented := map[string][]string{
		"": {crt, "intermediate.crt", key}, "root": {crt, key}, "stranger-root": {crt, key},
		"third": {crt, "third.crt", "second.crt", "intermediate.crt", key},
	}[l.issuer]
	var chain []byte
	for _, name := range presented {
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			return err
		}
		chain = append(chain, data...)
	}
	return os.WriteFile(filepath.Join(p.dir, l.name+".pem"), chain, 0o600)
}

func (p *opensslPKI) lists() error {
	ca := func(args ...string) []string { return append([]string{"ca", "-config", "openssl.cnf"}, args...) }
	for _, args := range [][]string{
		ca("-gencrl", "-out", "none.crl"),
		ca("-revoke", "revoked.crt"),
		ca("-gencrl", "-out", "revoked.crl"),
		ca("-gencrl", "-out", "stale.crl", "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"),
		ca("-revoke", "good.crt"),
		ca("-gencrl", "-out", "good.crl"),
	} {
		if err := p.openssl(args...); err != nil {
			return err
		}
	}
	return nil
}

func (p *opensslPKI) openssl(args ...string) error {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = p.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%q: %w\n%s", cmd.Args, err, out.Bytes())
	}
	return nil
}
