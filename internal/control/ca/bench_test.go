package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testrequire"
)

// Certificates that many ask for at once, each recorded durably before it is
// handed out.
func BenchmarkCertify(b *testing.B) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(b.TempDir(), "pki")}})
	if err != nil {
		b.Fatal(err)
	}
	certify(b, a)
}

func certify(b *testing.B, a *Authority) {
	b.Helper()
	var n atomic.Int64
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			subject, err := request.CommonName(fmt.Sprintf("device %d", n.Add(1)))
			if err != nil {
				b.Error(err)
				return
			}
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // each has its own
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := a.Certify(context.Background(), issuance.Request{Subject: subject, PublicKey: key.Public()}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
}

// The lists of an authority that has revoked 100,000 certificates, signed and
// written, by a process that has just begun: it reads the ledger and the lists too.
func BenchmarkCRL(b *testing.B) {
	for _, warm := range []bool{false, true} {
		name := "opened anew"
		if warm {
			name = "running"
		}
		b.Run(name, func(b *testing.B) {
			a := manyRevoked(b, 100_000)
			b.ResetTimer()
			for range b.N {
				if !warm {
					var err error
					if a, err = Open(Config{Dir: a.Dir()}); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := a.CRL(0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func manyRevoked(b *testing.B, n int) *Authority {
	b.Helper()
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(b.TempDir(), "pki")}})
	if err != nil {
		b.Fatal(err)
	}
	var entries []ledger.Entry
	id := a.issuers[0].id()
	serial := make([]byte, 16)
	for range n {
		if _, err := rand.Read(serial); err != nil {
			b.Fatal(err)
		}
		entries = append(entries, ledger.Entry{Event: ledger.Revoked, At: time.Now(), Serial: fmt.Sprintf("%X", serial), Issuer: id, Reason: string(crl.KeyCompromise)})
	}
	if err := a.ledger.Append(b.Context(), entries...); err != nil {
		b.Fatal(err)
	}
	if _, err := a.CRL(0); err != nil {
		b.Fatal(err)
	}
	if info, err := os.Stat(a.Path(CRLFile)); err != nil || info.Size() < int64(n)*30 {
		b.Fatalf("the list has %d bytes, %v", info.Size(), err)
	}
	return a
}

// The same with the ledger in a store, where other nodes write it too.
func BenchmarkCertifyInStore(b *testing.B) {
	for name, open := range map[string]func() (*store.Store, error){
		"sqlite": func() (*store.Store, error) {
			return sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "devices.db")})
		},
		"postgres": func() (*store.Store, error) {
			return postgres.Open(b.Context(), postgres.Config{URL: testrequire.PostgreSQL(b)})
		},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := open()
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			a, err := Init(Founding{Config: Config{Dir: filepath.Join(b.TempDir(), "pki"), Ledger: s.Ledger(rand.Text())}})
			if err != nil {
				b.Fatal(err)
			}
			certify(b, a)
		})
	}
}
