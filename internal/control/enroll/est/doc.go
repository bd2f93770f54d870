// Package est is Enrollment over Secure Transport (RFC 7030, RFC 8951, RFC 9908)
// for the devices of the registry.
//
// Who asks is known by the certificate of the TLS connection: the one that all
// devices are made with, and then a claim, or the device's own. What is decided is
// decided by package enroll.
package est
