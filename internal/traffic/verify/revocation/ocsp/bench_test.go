package ocsp

import (
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// What a decision about a certificate takes more where answers count.
func BenchmarkFind(b *testing.B) {
	device := testpki.NewRoot(b, "Root").Client("device")
	view, now := &View{Memory: NewMemory(0)}, time.Now()
	view.Put(KeyOf(view.Terms, device.Issuer.X509, device.X509.SerialNumber), &Answer{Status: Good, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, now)
	b.ReportAllocs()
	for b.Loop() {
		view.Find(device.Issuer.X509, device.X509.SerialNumber)
	}
}

func BenchmarkCheck(b *testing.B) {
	device := testpki.NewRoot(b, "Root").Client("device")
	der, q, now := testpki.OCSP{Of: device, Signer: signer(device.Issuer)}.DER(b), question(device), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Check(der, now); err != nil {
			b.Fatal(err)
		}
	}
}
