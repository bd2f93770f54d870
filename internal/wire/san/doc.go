// Package san reads the subject alternative names of a certificate as they are
// written there (RFC 5280 section 4.2.1.6).
//
// The fields of x509.Certificate will not do: a url.URL no longer holds the
// certificate's own bytes, two URIs that differ could be written alike, and
// names of other kinds are left out without a word.
package san
