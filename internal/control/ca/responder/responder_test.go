package responder

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"countersign.dev/internal/control/ca"
)

// A clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func founded(t testing.TB, c *clock) *ca.Authority {
	t.Helper()
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "pki"), Now: c.now}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t testing.TB, issuer *x509.Certificate, serial *big.Int) []byte {
	t.Helper()
	der, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// breaking is an authority whose disk is full from some time on.
type breaking struct {
	*ca.Authority
	broken error
}

func (b *breaking) Delegate(ctx context.Context, issuer *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	if b.broken != nil {
		return nil, b.broken
	}
	return b.Authority.Delegate(ctx, issuer, public)
}

func TestTheRespondersCertificateIsRenewedInTime(t *testing.T) {
	c := &clock{t: time.Now()}
	a := &breaking{Authority: founded(t, c)}
	r := New(Config{Authority: a, Now: c.now})
	issued, err := a.Issue(ca.Request{CommonName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() *x509.Certificate {
		t.Helper()
		answer := r.Answer(t.Context(), request(t, a.Issuing(), issued.Certificate.SerialNumber))
		got, err := ocsp.ParseResponse(answer.DER, a.Issuing())
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != ocsp.Good || !got.NextUpdate.Equal(answer.NextUpdate) || !got.NextUpdate.Before(got.Certificate.NotAfter) {
			t.Errorf("status %d until %s, signed by who lasts until %s", got.Status, got.NextUpdate, got.Certificate.NotAfter)
		}
		return got.Certificate
	}
	first := ask()
	if !ask().Equal(first) {
		t.Error("another certificate for each answer")
	}
	if len(first.ExtKeyUsage) != 1 || first.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning || first.IsCA {
		t.Errorf("it may sign %v", first.ExtKeyUsage)
	}
	if kept, ok, err := a.Status(t.Context(), "x"); ok || err != nil {
		t.Error(kept, err)
	}
	c.advance(4 * 24 * time.Hour)
	second := ask()
	if second.Equal(first) {
		t.Error("it was not renewed after half its time")
	}
	// What keeps it from being renewed is no outage until it ends.
	a.broken = errors.New("disk full")
	c.advance(4 * 24 * time.Hour)
	if !ask().Equal(second) {
		t.Error("another certificate while none can be made")
	}
	c.advance(3 * 24 * time.Hour)
	answer := r.Answer(t.Context(), request(t, a.Issuing(), issued.Certificate.SerialNumber))
	if !bytes.Equal(answer.DER, ocsp.TryLaterErrorResponse) {
		t.Errorf("%x after its end, want that it is tried later", answer.DER)
	}
}

func TestWhatIsNotAnswered(t *testing.T) {
	c := &clock{t: time.Now()}
	a, other := founded(t, c), founded(t, c)
	r := New(Config{Authority: a, Now: c.now})
	good := request(t, a.Issuing(), big.NewInt(1))
	for name, tc := range map[string]struct{ request, want []byte }{
		"nothing":             {nil, ocsp.MalformedRequestErrorResponse},
		"half a request":      {good[:len(good)/2], ocsp.MalformedRequestErrorResponse},
		"another's authority": {request(t, other.Issuing(), big.NewInt(1)), ocsp.UnauthorizedErrorResponse},
		"the root":            {request(t, a.Root(), a.Issuing().SerialNumber), ocsp.UnauthorizedErrorResponse},
	} {
		if got := r.Answer(t.Context(), tc.request); !bytes.Equal(got.DER, tc.want) || !got.NextUpdate.IsZero() {
			t.Errorf("%s: %x, kept until %s", name, got.DER, got.NextUpdate)
		}
	}
	for _, serial := range []*big.Int{big.NewInt(7), new(big.Int), big.NewInt(-3), new(big.Int).Lsh(big.NewInt(1), 300)} {
		answer := r.Answer(t.Context(), request(t, a.Issuing(), serial))
		got, err := ocsp.ParseResponse(answer.DER, a.Issuing())
		if err != nil || got.Status != ocsp.Unknown || got.SerialNumber.Cmp(serial) != 0 || !answer.NextUpdate.IsZero() {
			t.Errorf("serial %s: %+v, %v; want unknown, for nobody to keep", serial, got, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	c := &clock{t: time.Now()}
	a := founded(f, c)
	r := New(Config{Authority: a, Now: c.now})
	f.Add(request(f, a.Issuing(), big.NewInt(1)))
	f.Add(request(f, a.Issuing(), a.Issuing().SerialNumber))
	f.Fuzz(func(t *testing.T, data []byte) {
		answer := r.Answer(t.Context(), data)
		if got, err := ocsp.ParseResponse(answer.DER, a.Issuing()); err == nil && got.Status == ocsp.Good {
			t.Error("a certificate that was never issued is good")
		} else if _, refused := errors.AsType[ocsp.ResponseError](err); err != nil && !refused {
			t.Errorf("no response: %v", err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	c := &clock{t: time.Now()}
	a := founded(b, c)
	issued, err := a.Issue(ca.Request{CommonName: "x"})
	if err != nil {
		b.Fatal(err)
	}
	r := New(Config{Authority: a, Now: c.now})
	q := request(b, a.Issuing(), issued.Certificate.SerialNumber)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if answer := r.Answer(b.Context(), q); answer.NextUpdate.IsZero() {
				b.Error("no answer")
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}
