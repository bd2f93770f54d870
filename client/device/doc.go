// Package device gets a device its certificates from a gateway.
//
//	own, err := device.Enroll(ctx, device.Config{URL: "https://gateway:8443", RootCAs: roots,
//		Certificate: bootstrap, DeviceID: "00:1A:2B:3C:4D:5E", Claim: secret, Key: key})
//	...
//	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: own.Certificate}}
//	...
//	err = own.Renew(ctx) // when own.Due has come
//
// What the gateway refuses is a *Problem, with a code that does not change between
// versions. Where there is no connection, because TLS already refuses the device,
// the error is that of net/http. The package needs the standard library alone.
package device
