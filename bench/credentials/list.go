package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign.dev/internal/control/ca/directory"
)

// Listed returns the ith serial number of the long list, of 16 octets.
func Listed(i int) (serial [16]byte) {
	x := uint64(i)*0x9e3779b97f4a7c15 + 1
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	binary.BigEndian.PutUint64(serial[:], x^x>>31)
	binary.BigEndian.PutUint64(serial[8:], uint64(i))
	serial[0] = serial[0]&0x7f | 0x40 // positive, and 16 octets in DER
	return serial
}

// WithLongList returns f, as Make made it in dir, with another list of the
// issuing authority: of that many entries, each with a reason and a date, 49
// bytes of DER.
func WithLongList(dir string, f Files, entries int) (Files, error) {
	issuer, key, err := issuing(dir)
	if err != nil {
		return f, err
	}
	revoked, err := tls.LoadX509KeyPair(f.Revoked.Cert, f.Revoked.Key)
	if err != nil {
		return f, err
	}
	der, err := longList{issuer, longNumber, entries, []*big.Int{revoked.Leaf.SerialNumber}}.signed(key)
	if err != nil {
		return f, err
	}
	root, err := os.ReadFile(filepath.Join(dir, "ca", directory.RootCRLFile))
	if err != nil {
		return f, err
	}
	f.CRLs, f.Entries = filepath.Join(dir, "long-crls.pem"), entries
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	return f, os.WriteFile(f.CRLs, append(text, root...), 0o600)
}

// issuing returns the issuing authority of the PKI in dir.
func issuing(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(Issuing(dir).Cert, Issuing(dir).Key)
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, errors.New("the issuing authority's key is not ECDSA")
	}
	return pair.Leaf, key, nil
}

const ecdsaWithSHA256 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"

// A longList is a list with the serial numbers of Listed, and a few more.
type longList struct {
	issuer  *x509.Certificate
	number  int64
	entries int
	also    []*big.Int
}

const longNumber = 1 << 40

func (l longList) signed(key *ecdsa.PrivateKey) ([]byte, error) { return sign(key, l.unsigned()) }

// unsigned returns its TBSCertList (RFC 5280 section 5.1). It is put together by
// hand: crypto/x509 would take gigabytes for it.
func (l longList) unsigned() []byte {
	now := time.Now().UTC()
	day := now.Format("060102150405Z")
	var all bytes.Buffer
	all.Grow(50*l.entries + 100)
	for i := range l.entries {
		serial := Listed(i)
		all.WriteString("\x30\x2f\x02\x10")
		all.Write(serial[:])
		all.WriteString("\x17\x0d" + day + "\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01")
		all.WriteByte(byte(1 + i%5)) // keyCompromise to cessationOfOperation
	}
	var b cryptobyte.Builder
	extension := func(b *cryptobyte.Builder, id byte, value func(*cryptobyte.Builder)) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 5, 29, int(id)})
			b.AddASN1(cbasn1.OCTET_STRING, value)
		})
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddBytes([]byte(ecdsaWithSHA256))
		b.AddBytes(l.issuer.RawSubject)
		b.AddASN1UTCTime(now.Add(-time.Hour))
		b.AddASN1UTCTime(now.Add(24 * time.Hour))
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, serial := range l.also {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1BigInt(serial)
					b.AddASN1UTCTime(now)
				})
			}
			b.AddBytes(all.Bytes())
		})
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				extension(b, 35, func(b *cryptobyte.Builder) { // authority key identifier
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(l.issuer.SubjectKeyId) })
					})
				})
				extension(b, 20, func(b *cryptobyte.Builder) { b.AddASN1Int64(l.number) }) // CRL number
			})
		})
	})
	return b.BytesOrPanic()
}

func sign(key *ecdsa.PrivateKey, tbs []byte) ([]byte, error) {
	sum := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes([]byte(ecdsaWithSHA256))
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}
