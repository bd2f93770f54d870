// Package testpki makes certificates for tests, in memory.
//
// It makes good ones without a word and faulty ones on request:
//
//	root := testpki.NewRoot(t, "Fleet Root")
//	mid := root.Intermediate("Fleet Issuing CA")
//	device := mid.Client("MacID-AA:BB:CC:DD:EE:FF", testpki.Expired())
//	server := root.Server("localhost")
//	list := root.CRL(testpki.Revoke(mid))
//
// Everything is P-256 unless an Option says otherwise, so that a test may make
// hundreds of certificates. RSA keys are made once per size and process.
package testpki
