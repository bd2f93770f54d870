package dn_test

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/wire/dn"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// attr is one attribute of a name to encode: the content octets of its type,
// the tag of its value, the content octets of its value.
type attr struct {
	oid   []byte
	tag   byte
	value []byte
}

var (
	oidCN           = []byte{0x55, 4, 3}
	oidOU           = []byte{0x55, 4, 11}
	oidSerialNumber = []byte{0x55, 4, 5}
	oidGivenName    = []byte{0x55, 4, 42}
	oidOrgID        = []byte{0x55, 4, 97}
	oidEmail        = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1}
	oidDC           = []byte{0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25}
	oidUID          = []byte{0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1}
	oidRSA          = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}                            // named, though no attribute
	oidPrivate      = []byte{0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 1}                                  // unknown
	oidBig          = []byte{0x88, 0x37, 0x8f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f} // unknown
)

var attributeTypes = [][]byte{oidCN, oidCN, oidOU, oidSerialNumber, oidGivenName, oidOrgID, oidEmail,
	oidDC, oidUID, oidRSA, oidPrivate, oidBig, {0x55, 4, 6}, {0x55, 4, 7}, {0x55, 4, 8}, {0x55, 4, 10}, {0x55, 4, 4}, {0x55, 4, 126}}

// encode returns the DER of an RDNSequence, in the order given.
func encode(rdns ...[]attr) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range rdns {
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range rdn {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(a.oid) })
						b.AddASN1(asn1.Tag(a.tag), func(b *cryptobyte.Builder) { b.AddBytes(a.value) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

// certificate wraps names into a certificate that reads well; nobody signed it.
func certificate(t testing.TB, subject, issuer []byte, serial *big.Int) []byte {
	var b cryptobyte.Builder
	algorithm := func(b *cryptobyte.Builder) { // ecdsa-with-SHA256
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2})
		})
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			b.AddASN1BigInt(serial)
			algorithm(b)
			b.AddBytes(issuer)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, at := range []string{"230101000000Z", "330101000000Z"} {
					b.AddASN1(asn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte(at)) })
				}
			})
			b.AddBytes(subject)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { // Ed25519, any 32 bytes
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes([]byte{6, 3, 0x2b, 0x65, 0x70}) })
				b.AddASN1BitString(make([]byte, 32))
			})
		})
		algorithm(b)
		b.AddASN1BitString([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// openssl returns what the installed OpenSSL prints; ok is false when it cannot
// load the certificate.
func openssl(program string, der []byte) (subject, issuer, serial string, ok bool) {
	cmd := exec.Command(program, "x509", "-inform", "DER", "-noout", "-subject", "-issuer", "-serial", "-nameopt", "RFC2253")
	cmd.Stdin = bytes.NewReader(der)
	out, err := cmd.Output()
	if err != nil {
		return "", "", "", false
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "subject":
			subject = value
		case "issuer":
			issuer = value
		case "serial":
			serial = value
		}
	}
	return subject, issuer, serial, true
}

// compare holds String and Serial against the installed openssl.
func compare(t *testing.T, program string, subject, issuer []byte, serial *big.Int) {
	t.Helper()
	gotSubject, subjectErr := dn.String(subject)
	gotIssuer, issuerErr := dn.String(issuer)
	wantSubject, wantIssuer, wantSerial, ok := openssl(program, certificate(t, subject, issuer, serial))
	if refused := subjectErr != nil || issuerErr != nil; refused == ok {
		t.Errorf("subject %X\nissuer %X\nopenssl loads it: %t; ours: subject %v, issuer %v", subject, issuer, ok, subjectErr, issuerErr)
		return
	}
	if !ok {
		return
	}
	if gotSubject != wantSubject {
		t.Errorf("subject %X\n got %s\nwant %s", subject, gotSubject, wantSubject)
	}
	if gotIssuer != wantIssuer {
		t.Errorf("issuer %X\n got %s\nwant %s", issuer, gotIssuer, wantIssuer)
	}
	if got := dn.Serial(serial); got != wantSerial {
		t.Errorf("serial %v\n got %s\nwant %s", serial, got, wantSerial)
	}
}

// randomText mixes what needs escaping with what does not.
func randomText(r *rand.Rand) []rune {
	const odd = " #,+\"\\<>;=\x00\x01\t\r\n\x1f\x7f/*'()%&@"
	n := r.IntN(8)
	if r.IntN(20) == 0 {
		n = 60 + r.IntN(200)
	}
	s := make([]rune, n)
	for i := range s {
		switch r.IntN(8) {
		case 0, 1, 2:
			s[i] = rune(odd[r.IntN(len(odd))])
		case 3:
			s[i] = rune(0x80 + r.IntN(0x80))
		case 4:
			s[i] = rune(0x100 + r.IntN(0xd700))
		case 5:
			s[i] = rune(0xe000 + r.IntN(0x2000))
		default:
			s[i] = rune('a' + r.IntN(26))
		}
	}
	return s
}

func randomValue(r *rand.Rand) (tag byte, value []byte) {
	text := randomText(r)
	latin1 := func() (b []byte) {
		for _, c := range text {
			b = append(b, byte(c))
		}
		return b
	}
	switch r.IntN(16) {
	case 0, 1, 2, 3:
		if r.IntN(4) == 0 {
			text = append(text, rune(0x10000+r.IntN(0x100000)))
		}
		return 12, []byte(string(text))
	case 4, 5:
		for _, c := range text {
			value = binary.BigEndian.AppendUint16(value, uint16(c))
		}
		return 30, value
	case 6, 7:
		if r.IntN(4) == 0 {
			text = append(text, rune(0x10000+r.IntN(0x100000)))
		}
		for _, c := range text {
			value = binary.BigEndian.AppendUint32(value, uint32(c))
		}
		return 28, value
	case 8:
		return 20, latin1()
	case 9:
		return 22, latin1()
	case 10:
		return 18, latin1()
	case 11, 12, 13:
		return 19, latin1()
	case 14:
		return 0x30, append([]byte{0x0c, 2}, "ok"...)
	default:
		return 3, append([]byte{0}, latin1()...)
	}
}

func randomName(r *rand.Rand) []byte {
	rdns := make([][]attr, r.IntN(12))
	for i := range rdns {
		n := 1
		if r.IntN(3) == 0 {
			n = 2 + r.IntN(3)
		}
		for range n {
			tag, value := randomValue(r)
			rdns[i] = append(rdns[i], attr{attributeTypes[r.IntN(len(attributeTypes))], tag, value})
		}
	}
	return encode(rdns...)
}

func randomSerial(r *rand.Rand) *big.Int {
	b := make([]byte, r.IntN(21))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	n := new(big.Int).SetBytes(b)
	if r.IntN(6) == 0 {
		n.Neg(n)
	}
	return n
}

func TestPrintsAsOpenSSL(t *testing.T) {
	program := testrequire.Program(t, "openssl")
	const certificates = 60 // two names each, of five RDNs or so
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(2253, uint64(worker)))
			for range certificates / 4 {
				compare(t, program, randomName(r), randomName(r), randomSerial(r))
			}
		})
	}
	wg.Wait()
}

// Values that sit on the edges of a rule: each in an RDN of its own in subjects,
// beside another one in issuers.
func TestEdgesAsOpenSSL(t *testing.T) {
	program := testrequire.Program(t, "openssl")
	var values []attr
	for _, s := range []string{"", " ", "#", "  ", "##", " #", "# ", "=", "a ", " a", "\\", "\"", "a\x00b", "\x00", "é", " é ", "ÿ\xff", "\xc3\x28",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xf8\x88\x80\x80\x80", "\U0001F511"} {
		values = append(values, attr{oidCN, 12, []byte(s)}, attr{oidCN, 20, []byte(s)}, attr{oidPrivate, 19, []byte(s)})
	}
	for _, tag := range []byte{1, 2, 4, 5, 6, 0x31, 21, 23, 24, 25, 26, 27, 0x80, 0xa0} {
		values = append(values, attr{oidCN, tag, []byte("01")}, attr{oidPrivate, tag, []byte("230101000000Z")})
	}
	for _, hex := range []string{"\xd8\x00\xdc\x00", "\xd8\x00", "\x00", "\xff\xff", "\xfe\xff\x00a", "\x00\x00", "\x00 ", "\x00#\x00#"} {
		values = append(values, attr{oidCN, 30, []byte(hex)})
	}
	for _, hex := range []string{"\x00\x10\xff\xff", "\x00\x11\x00\x00", "\x00\x00\xd8\x00", "\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x00\x00 "} {
		values = append(values, attr{oidCN, 28, []byte(hex)})
	}
	for _, bits := range []string{"\x00", "\x00\xff", "\x04\xf0"} {
		values = append(values, attr{oidCN, 3, []byte(bits)}, attr{[]byte{0x55, 4, 45}, 3, []byte(bits)})
	}
	// One process for every value that is refused, one for many that are not.
	type names struct{ subject, issuer []byte }
	var work []names
	var subject, issuer [][]attr
	flush := func() {
		work = append(work, names{encode(subject...), encode(issuer...)})
		subject, issuer = nil, nil
	}
	for _, v := range values {
		alone := encode([]attr{v})
		if _, err := dn.String(alone); err != nil {
			work = append(work, names{alone, encode()})
			continue
		}
		subject = append(subject, []attr{v})
		issuer = append(issuer, []attr{v, {oidUID, 12, []byte("y")}})
		if len(subject) == 12 {
			flush()
		}
	}
	flush()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(work); i += 4 {
				compare(t, program, work[i].subject, work[i].issuer, big.NewInt(int64(i)-2))
			}
		})
	}
	wg.Wait()
}

// Every short name of ours is the installed OpenSSL's, and all of 3.0's are ours.
func TestShortNamesAreOpenSSLs(t *testing.T) {
	program := testrequire.Program(t, "openssl")
	out, err := exec.Command(program, "list", "-objects").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command(program, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	later := !strings.HasPrefix(string(version), "OpenSSL 3.0.") // has names that 3.0 lacks
	checked := 0
	for line := range strings.Lines(string(out)) {
		name, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		oid := rest[strings.LastIndex(rest, " ")+1:]
		// OpenSSL cuts the object identifiers of this list at 26 characters, and
		// has two names for 1.3, of which a certificate gets the first.
		if !ok || len(oid) >= 26 || name == "identified-organization" {
			continue
		}
		got, err := dn.String(encode([]attr{{oidContent(t, oid), 12, nil}}))
		if later && got == oid+"=#0C00" {
			continue
		}
		if err != nil || got != name+"=" {
			t.Errorf("%s: got %q, %v, openssl says %s", oid, got, err, name)
		}
		checked++
	}
	if checked < 1000 {
		t.Errorf("checked %d names, openssl list -objects ought to have over 1000", checked)
	}
}
