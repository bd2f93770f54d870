package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
)

// A Fleet is devices that are made by whoever needs them: as files, tens of
// thousands would take longer than the work.
type Fleet struct {
	Authority Client // the issuing authority's certificate and key
	First     int    // number of the first device
	Count     int
	Lost      bool // they are to lose their connections
}

// Issuing is the issuing authority of the PKI that Make made in dir.
func Issuing(dir string) Client {
	return Client{Cert: filepath.Join(dir, "ca", directory.IssuingCertFile), Key: filepath.Join(dir, "ca", directory.IssuingKeyFile)}
}

// serial is the serial number of the device with that number.
func serial(device int) *big.Int { return big.NewInt(1<<48 + int64(device)) }

// Devices makes the certificates of a fleet. They have one key between them.
func (f Fleet) Devices() ([]tls.Certificate, error) {
	issuer, err := tls.LoadX509KeyPair(f.Authority.Cert, f.Authority.Key)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	all := make([]tls.Certificate, f.Count)
	for i := range all {
		device := f.First + i
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: serial(device), Subject: pkix.Name{CommonName: fmt.Sprintf("live-%06d", device)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, issuer.Leaf, &key.PublicKey, issuer.PrivateKey)
		if err != nil {
			return nil, err
		}
		all[i] = tls.Certificate{Certificate: [][]byte{der, issuer.Certificate[0]}, PrivateKey: key}
	}
	return all, nil
}

// Revoke writes to a new file the lists of f, whose PKI is in dir, with one
// device of the issuing authority more.
func Revoke(to, dir string, f Files, device int) error {
	issuer, key, err := issuing(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(f.CRLs)
	if err != nil {
		return err
	}
	first, others := pem.Decode(text)
	if first == nil {
		return fmt.Errorf("%s: no revocation list", f.CRLs)
	}
	var der []byte
	if f.Entries > 0 { // which crypto/x509 would take gigabytes for
		var revoked tls.Certificate
		if revoked, err = tls.LoadX509KeyPair(f.Revoked.Cert, f.Revoked.Key); err == nil {
			der, err = longList{issuer, longNumber + 1, f.Entries, []*big.Int{revoked.Leaf.SerialNumber, serial(device)}}.signed(key)
		}
	} else {
		der, err = longer(first.Bytes, device, issuer, key)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(pem.EncodeToMemory(&pem.Block{Type: first.Type, Bytes: der}), others...), 0o600)
}

// longer returns the list with the device on it, and the next number.
func longer(der []byte, device int, issuer *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: new(big.Int).Add(list.Number, big.NewInt(1)), ThisUpdate: time.Now(), NextUpdate: list.NextUpdate,
		RevokedCertificateEntries: append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial(device), RevocationTime: time.Now(), ReasonCode: 1}),
	}, issuer, key)
}

// Another makes a PKI of another name in dir, which must not exist or be empty,
// and returns its files beside those of f: one bundle, one file of lists.
func Another(dir string, f Files) (Files, error) {
	authority, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(dir, "ca")}, Name: "Another"})
	if err != nil {
		return f, err
	}
	roots, lists := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "crls.pem")
	err = errors.Join(
		join(roots, f.Root, authority.Path(directory.RootCertFile)),
		join(lists, f.CRLs, authority.Path(directory.CRLFile), authority.Path(directory.RootCRLFile)))
	f.Root, f.CRLs = roots, lists
	return f, err
}
