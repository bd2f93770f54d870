// Package initialize is the message by which a device fetches its certificate: JSON in
// one request over the certificate that it has.
package initialize
