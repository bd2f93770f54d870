package trust_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"runtime"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// BenchmarkDiffOfClientsRemembered is what a diff takes for each client, and what
// the memory of them costs.
func BenchmarkDiffOfClientsRemembered(b *testing.B) {
	const clients = 20000
	ca, next := testpki.NewRoot(b, "Fleet CA"), testpki.NewRoot(b, "Next CA")
	r := start(b, configuration, ca)
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{ca.X509}, Remember: -1})
	if err != nil {
		b.Fatal(err)
	}
	device := ca.Client("device")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range clients {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1000)), Subject: pkix.Name{CommonName: fmt.Sprint("device-", i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, template, ca.X509, device.X509.PublicKey, ca.Key)
		if err != nil {
			b.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		chain, denial := store.Verify([]*x509.Certificate{leaf}, verify.Options{})
		if denial != nil {
			b.Fatal(denial)
		}
		r.witness.Came("devices", "default", chain, sha256.Sum256(der))
	}
	r.remembered(clients)
	runtime.GC()
	runtime.ReadMemStats(&after)
	memory := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / clients
	for name, content := range map[string][]byte{"overlap": pem(ca, next), "lockout": pem(next)} {
		b.Run(name, func(b *testing.B) {
			if _, err := r.Stage(b.Context(), "fleet", "", content); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			n := 0
			for b.Loop() {
				d, err := r.Diff(b.Context(), "fleet", 100)
				if err != nil || d.Asked != clients {
					b.Fatalf("%d asked: %v", d.Asked, err)
				}
				n += clients
			}
			b.ReportMetric(memory, "B/client")
			b.ReportMetric(float64(time.Since(began).Microseconds())/float64(n), "µs/client")
		})
	}
}
