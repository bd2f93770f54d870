// Package credentials makes the certificates that a comparison needs.
//
// Everything is ECDSA P-256: a root, an issuing authority below it, a server
// certificate for localhost, devices, and revocation lists of both authorities
// with a few entries. Servers are given the root alone as anchor and clients
// show their certificate with the issuing authority's, so that every server has
// two signatures and two lists to look at.
package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"countersign.dev/bench/fleet"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
)

// ServerName is what the server's certificate is for.
const ServerName = "localhost"

// Issuer is a part of the name of every device's issuer.
const Issuer = "Bench Issuing"

const revoked = 10 // entries of the issuing authority's list

// Files are paths of PEM files.
type Files struct {
	Root       string   // the anchor
	CRLs       string   // of the issuing authority and of the root
	ServerCert string   // with the issuing authority's
	ServerKey  string   //
	ServerBoth string   // certificate, issuing authority's and key, as HAProxy wants them
	Clients    []Client // devices in good standing
	Revoked    Client   // one that is on the list
	Gateway    Client   // what a server shows to the backend, if that asks
	GatewayAll string   // certificate, issuing authority's and key of it, as HAProxy wants them
	Entries    int      // of the issuing authority's list, when it is a long one
}

// A Client is a device's certificate, with its issuing authority's, and key.
type Client struct{ Cert, Key string }

// Make makes a PKI with that many devices in dir, which must not exist or be empty.
func Make(dir string, devices int) (Files, error) {
	authority, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(dir, "ca")}, Name: "Bench"})
	if err != nil {
		return Files{}, err
	}
	issue := func(name string, r ca.Request) (Client, *x509.Certificate, error) {
		issued, err := authority.Issue(r)
		if err != nil {
			return Client{}, nil, err
		}
		at := ca.FilesFor(dir, name)
		return Client{Cert: at.Certificate, Key: at.Key}, issued.Certificate, issued.Save(at)
	}
	f := Files{
		Root: authority.Path(directory.RootCertFile), CRLs: filepath.Join(dir, "crls.pem"), ServerBoth: filepath.Join(dir, "server.both.pem"),
		GatewayAll: filepath.Join(dir, "gateway.both.pem"),
	}
	server, _, err := issue("server", ca.Request{
		Profile: issuance.Server, CommonName: ServerName, Names: []string{"dns:" + ServerName, "ip:127.0.0.1"},
	})
	if err != nil {
		return f, err
	}
	f.ServerCert, f.ServerKey = server.Cert, server.Key
	if f.Gateway, _, err = issue("gateway", ca.Request{Profile: issuance.Device, CommonName: "gateway"}); err != nil {
		return f, err
	}
	for i := range devices {
		name := fmt.Sprintf("device-%04d", i)
		c, _, err := issue(name, ca.Request{Profile: issuance.Device, CommonName: fleet.Device(i)})
		if err != nil {
			return f, err
		}
		f.Clients = append(f.Clients, c)
	}
	for i := range revoked {
		name := fmt.Sprintf("lost-%04d", i)
		c, cert, err := issue(name, ca.Request{Profile: issuance.Device, CommonName: name})
		if err != nil {
			return f, err
		}
		if _, err := authority.RevokeCertificate(cert, crl.KeyCompromise, cert.NotBefore); err != nil {
			return f, err
		}
		f.Revoked = c
	}
	return f, errors.Join(
		join(f.CRLs, authority.Path(directory.CRLFile), authority.Path(directory.RootCRLFile)),
		join(f.ServerBoth, f.ServerCert, f.ServerKey),
		join(f.GatewayAll, f.Gateway.Cert, f.Gateway.Key))
}

// Behind returns how the backend serves over TLS: with full handshakes, by which it
// lets in whoever has a certificate of the PKI.
func (f Files) Behind() (*tls.Config, error) {
	text, err := os.ReadFile(f.Root)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(f.ServerCert, f.ServerKey)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(),
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true,
	}
	if !cfg.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate", f.Root)
	}
	return cfg, nil
}

// join writes the files one after the other into a new one.
func join(to string, files ...string) error {
	var all bytes.Buffer
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		all.Write(text)
	}
	return os.WriteFile(to, all.Bytes(), 0o600)
}

// Dial returns how clients connect: TLS 1.3 with X25519, so that no server does
// another kind of work than the next. A zero Client shows no certificate.
func Dial(root string, c Client) (*tls.Config, error) {
	text, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		RootCAs: x509.NewCertPool(), ServerName: ServerName,
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	}
	if !cfg.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate", root)
	}
	if c == (Client{}) {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// Check refuses a connection that is not what Dial asked for: the comparison
// would be of different work.
func Check(s tls.ConnectionState) error {
	const suite = tls.TLS_AES_128_GCM_SHA256
	if s.Version == tls.VersionTLS13 && s.CipherSuite == suite && s.CurveID == tls.X25519 {
		return nil
	}
	return fmt.Errorf("the connection is %s with %s and %s; every server is to use TLS 1.3, %s and X25519",
		tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.CurveID, tls.CipherSuiteName(suite))
}

// Names are what the servers have to tell the backend about the client with
// the certificate c: its common name, its issuer's, its serial number in hexadecimal.
func (c Client) Names() ([]string, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	return []string{pair.Leaf.Subject.CommonName, Issuer, strings.ToLower(fmt.Sprintf("%x", pair.Leaf.SerialNumber))}, nil
}
