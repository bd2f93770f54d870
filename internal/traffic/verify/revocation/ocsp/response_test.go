package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/md5"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	xocsp "golang.org/x/crypto/ocsp"
)

func signer(ca *testpki.Certificate, opts ...testpki.Option) *testpki.Certificate {
	return ca.Client("responder", append([]testpki.Option{testpki.EKU(x509.ExtKeyUsageOCSPSigning)}, opts...)...)
}

func question(c *testpki.Certificate) Question {
	return Question{Issuer: c.Issuer.X509, Serial: c.X509.SerialNumber}
}

func TestResponsesThatCount(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	issuing := root.Intermediate("Issuing")
	device := issuing.Client("device")
	renewed := root.Intermediate("Issuing", testpki.WithKey(issuing.Key)) // another certificate for the issuer's key
	day := time.Now().Add(24 * time.Hour)
	for name, c := range map[string]struct {
		response testpki.OCSP
		nonce    []byte
		status   Status
	}{
		"signed by the issuer":                         {response: testpki.OCSP{}, status: Good},
		"with the issuer's certificate in it":          {response: testpki.OCSP{Embedded: []*testpki.Certificate{issuing}}, status: Good},
		"with another certificate of the issuer's key": {response: testpki.OCSP{Embedded: []*testpki.Certificate{renewed}}, status: Good},
		"signed by a delegate":                         {response: testpki.OCSP{Signer: signer(issuing)}, status: Good},
		"revoked":                                      {response: testpki.OCSP{Status: 1, Reason: 1}, status: Revoked},
		"unknown":                                      {response: testpki.OCSP{Status: 2}, status: Unknown},
		"without nextUpdate":                           {response: testpki.OCSP{WithoutNext: true}, status: Good},
		"dated a little in the future":                 {response: testpki.OCSP{ThisUpdate: time.Now().Add(time.Minute), NextUpdate: day}, status: Good},
		"with the issuer named by SHA-256":             {response: testpki.OCSP{Hash: crypto.SHA256}, status: Good},
		"with the issuer named by SHA-512":             {response: testpki.OCSP{Hash: crypto.SHA512}, status: Good},
		"with a nonce that nobody asked for":           {response: testpki.OCSP{Nonce: []byte("something")}, status: Good},
		"with the nonce":                               {response: testpki.OCSP{Nonce: []byte("0123456789")}, nonce: []byte("0123456789"), status: Good},
	} {
		t.Run(name, func(t *testing.T) {
			c.response.Of = device
			q := question(device)
			q.Nonce = c.nonce
			a, err := q.Check(c.response.DER(t), time.Now())
			if err != nil || a.Status != c.status {
				t.Fatalf("%q, %v; want %q", a.Status, err, c.status)
			}
			if a.NextUpdate.Before(time.Now()) || c.response.WithoutNext && a.NextUpdate.After(time.Now().Add(withoutNext)) {
				t.Errorf("it counts until %v", a.NextUpdate)
			}
			if c.status == Revoked && (a.Reason != crl.Reason(1) || a.RevokedAt.IsZero()) {
				t.Errorf("reason %v, at %v", a.Reason, a.RevokedAt)
			}
		})
	}
}

func TestAnAnswerCountsNoLongerThanItsSignersCertificate(t *testing.T) {
	device := testpki.NewRoot(t, "Root").Client("device")
	end := time.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
	a, err := question(device).Check(testpki.OCSP{Of: device, Signer: signer(device.Issuer, testpki.Valid(time.Now().Add(-time.Hour), end))}.DER(t), time.Now())
	if err != nil || !a.NextUpdate.Equal(end) {
		t.Errorf("until %v, %v; want %v", a.NextUpdate, err, end)
	}
}

func TestResponsesThatDoNotCount(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	issuing, other := root.Intermediate("Issuing"), root.Intermediate("Other")
	namesake := testpki.NewRoot(t, "Issuing") // by name the issuer, with a key of its own
	device := issuing.Client("device")
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	certificates := func(c ...*testpki.Certificate) []*testpki.Certificate { return c }
	for name, c := range map[string]struct {
		response testpki.OCSP
		nonce    []byte
		want     string
	}{
		"expired":                            {response: testpki.OCSP{ThisUpdate: ago(2 * time.Hour), NextUpdate: ago(time.Hour)}, want: "should have been replaced by"},
		"from the future":                    {response: testpki.OCSP{ThisUpdate: ago(-time.Hour), NextUpdate: ago(-2 * time.Hour)}, want: "in the future"},
		"over before it began":               {response: testpki.OCSP{ThisUpdate: ago(-time.Minute), NextUpdate: ago(time.Hour)}, want: "before it was made"},
		"old, without nextUpdate":            {response: testpki.OCSP{ThisUpdate: ago(time.Hour), WithoutNext: true}, want: "says not how long it counts"},
		"about another serial number":        {response: testpki.OCSP{Serial: big.NewInt(4711)}, want: "no response matching"},
		"about another issuer's certificate": {response: testpki.OCSP{Issuer: other, Signer: signer(issuing)}, want: "of another issuer"},
		"about a namesake's certificate":     {response: testpki.OCSP{Issuer: namesake, Signer: signer(issuing)}, want: "of another issuer"},
		"signed by another authority":        {response: testpki.OCSP{Issuer: other}, want: "not signed by the issuer"},
		"signed by a namesake":               {response: testpki.OCSP{Issuer: namesake, Embedded: certificates(namesake)}, want: "whom the issuer"},
		"signed by nobody":                   {response: testpki.OCSP{BreakSignature: true}, want: "not signed by the issuer"},
		"a delegate's name, another's key":   {response: testpki.OCSP{Signer: signer(issuing), SignatureByOtherThan: true}, want: "bad signature"},
		"a delegate of the root's":           {response: testpki.OCSP{Signer: signer(root)}, want: "has not certified itself"},
		"a delegate of a namesake's":         {response: testpki.OCSP{Signer: signer(namesake)}, want: "has not certified"},
		"a delegate's delegate":              {response: testpki.OCSP{Signer: signer(issuing.Intermediate("Deeper"))}, want: "has not certified itself"},
		"a delegate for other things":        {response: testpki.OCSP{Signer: issuing.Client("web")}, want: "OCSPSigning"},
		"a delegate for anything":            {response: testpki.OCSP{Signer: issuing.Client("any", testpki.EKU(x509.ExtKeyUsageAny))}, want: "OCSPSigning"},
		"a delegate that may not sign":       {response: testpki.OCSP{Signer: signer(issuing, testpki.KeyUsage(x509.KeyUsageKeyEncipherment))}, want: "key usage"},
		"a delegate whose time is over":      {response: testpki.OCSP{Signer: signer(issuing, testpki.Expired())}, want: "is valid from"},
		"a delegate whose time is to come":   {response: testpki.OCSP{Signer: signer(issuing, testpki.NotYetValid())}, want: "is valid from"},
		"a delegate with an unknown demand":  {response: testpki.OCSP{Signer: signer(issuing, testpki.Extension(true, []byte{5, 0}, 1, 2, 3))}, want: "critical extension"},
		"the client itself":                  {response: testpki.OCSP{Signer: device}, want: "OCSPSigning"},
		"with an unknown demand":             {response: testpki.OCSP{CriticalExtension: asn1.ObjectIdentifier{1, 2, 3}}, want: "critical extension"},
		"with the issuer named by MD5":       {response: testpki.OCSP{Hash: crypto.MD5}, want: "hash algorithm"},
		"without the nonce":                  {response: testpki.OCSP{}, nonce: []byte("0123456789"), want: "lacks the nonce"},
		"with another nonce":                 {response: testpki.OCSP{Nonce: []byte("9876543210")}, nonce: []byte("0123456789"), want: "another nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			c.response.Of = device
			q := question(device)
			q.Nonce = c.nonce
			a, err := q.Check(c.response.DER(t), now)
			if err == nil || !strings.Contains(err.Error(), c.want) || a.Status != "" {
				t.Errorf("%q, %v; want %q", a.Status, err, c.want)
			}
		})
	}
}

func TestWhatIsNoResponse(t *testing.T) {
	device := testpki.NewRoot(t, "Root").Client("device")
	good := testpki.OCSP{Of: device}.DER(t)
	for name, der := range map[string][]byte{
		"nothing":      {},
		"a page":       []byte("<!doctype html><title>Maintenance</title>"),
		"half of it":   good[:len(good)/2],
		"more than it": append(bytes.Clone(good), 0),
		"far too much": append(bytes.Clone(good), make([]byte, MaxResponse)...),
		"another type": bytes.Replace(good, []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1}, []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 9}, 1),
	} {
		if a, err := question(device).Check(der, time.Now()); err == nil || a.Status != "" {
			t.Errorf("%s: %q, %v", name, a.Status, err)
		}
	}
	for der, temporary := range map[string]bool{
		string(xocsp.TryLaterErrorResponse): true, string(xocsp.InternalErrorErrorResponse): true,
		string(xocsp.UnauthorizedErrorResponse): false, string(xocsp.MalformedRequestErrorResponse): false,
	} {
		_, err := question(device).Check([]byte(der), time.Now())
		if refused, ok := errors.AsType[*RefusalError](err); !ok || refused.Temporary() != temporary {
			t.Errorf("%x: %v", der, err)
		}
	}
}

// What openssl makes of our request is the request.
func TestOpensslReadsTheRequest(t *testing.T) {
	testrequire.Program(t, "openssl")
	dir := t.TempDir()
	device := testpki.NewRoot(t, "Root").Client("device")
	q := question(device)
	q.Nonce = []byte("0123456789abcdef0123456789abcdef")
	der, err := q.Request()
	if err != nil {
		t.Fatal(err)
	}
	file := testpki.WriteFile(t, filepath.Join(dir, "request.der"), der)
	ca := testpki.WriteFile(t, filepath.Join(dir, "ca.pem"), device.Issuer.PEM())
	cert := testpki.WriteFile(t, filepath.Join(dir, "device.pem"), device.PEM())
	ours, err := exec.Command("openssl", "ocsp", "-reqin", file, "-req_text").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, ours)
	}
	theirs, err := exec.Command("openssl", "ocsp", "-issuer", ca, "-cert", cert, "-no_nonce", "-req_text").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, theirs)
	}
	before, nonce, found := strings.Cut(string(ours), "Request Extensions")
	if strings.TrimSpace(before) != strings.TrimSpace(string(theirs)) || !found || !strings.Contains(nonce, "OCSP Nonce") {
		t.Errorf("openssl reads\n%s\nand of its own\n%s", ours, theirs)
	}
}

func TestAnOlderAnswerDoesNotTakeThePlaceOfANewerOne(t *testing.T) {
	m, now := NewMemory(0), time.Now()
	revoked := &Answer{Status: Revoked, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	k := Key{1}
	m.Put(k, revoked, now)
	before, kept := m.Put(k, &Answer{Status: Good, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(2 * time.Hour)}, now)
	if before != revoked || kept.Status != Revoked || m.Get(k).Status != Revoked {
		t.Errorf("replayed: %q before, %q now", before.Status, m.Get(k).Status)
	}
	m.Put(k, &Answer{Fault: "it does not answer", Again: now.Add(time.Minute)}, now)
	if a := m.Get(k); a.Status != Revoked || a.Fault == "" || !a.Again.Equal(now.Add(time.Minute)) {
		t.Errorf("without an answer: %+v", a)
	}
	m.Put(k, &Answer{Status: Good, ThisUpdate: now.Add(time.Minute), NextUpdate: now.Add(time.Hour)}, now)
	if a := m.Get(k); a.Status != Good || a.Fault != "" {
		t.Errorf("a newer one: %+v", a)
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	m, now := NewMemory(100), time.Now()
	for i := range 10_000 {
		k := Key{byte(i), byte(i >> 8)}
		m.Put(k, &Answer{Status: Good, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, now)
		if i%7 == 0 && m.Get(k) == nil {
			t.Fatalf("answer %d is gone before anybody could read it", i)
		}
	}
	if n := m.Len(); n > 100 {
		t.Errorf("%d answers are kept", n)
	}
}

// Terms, issuer and serial number: each makes another question.
func TestAnAnswerIsFoundUnderItsOwnQuestionAlone(t *testing.T) {
	a, b := testpki.NewRoot(t, "A"), testpki.NewRoot(t, "A")
	seen := map[Key]bool{}
	for _, terms := range [][32]byte{{}, {1}} {
		for _, issuer := range []*testpki.Certificate{a, b} {
			for _, serial := range []int64{1, 256, -1, 0} {
				seen[KeyOf(terms, issuer.X509, big.NewInt(serial))] = true
			}
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d keys for 16 questions", len(seen))
	}
}

func FuzzResponse(f *testing.F) {
	root := testpki.NewRoot(f, "Root")
	device := root.Client("device")
	f.Add(testpki.OCSP{Of: device}.DER(f))
	f.Add(testpki.OCSP{Of: device, Status: 1, Signer: signer(root), Nonce: []byte("0123456789")}.DER(f))
	f.Add(testpki.OCSP{Of: device, WithoutNext: true, Hash: crypto.SHA256, CriticalExtension: asn1.ObjectIdentifier{1, 2, 3}}.DER(f))
	f.Add(xocsp.TryLaterErrorResponse)
	now := time.Now()
	f.Fuzz(func(t *testing.T, der []byte) {
		q := question(device)
		a, err := q.Check(der, now)
		switch {
		case err != nil && a.Status != "":
			t.Errorf("%q with %v", a.Status, err)
		case err == nil && (now.After(a.NextUpdate) || a.ThisUpdate.After(now.Add(skew))):
			t.Errorf("counts from %v to %v", a.ThisUpdate, a.NextUpdate)
		}
		take(der) // whatever it is
	})
}
