// Package tlsname gives TLS parameters the names that operators know.
//
// Cipher suites are named as OpenSSL names them, since that is what AWS's logs
// and headers, nginx and HAProxy print; TLS 1.3 suites have one name everywhere.
// Groups carry the names of the IANA registry "TLS Supported Groups" in
// OpenSSL's capitals.
package tlsname
