package handshake

import (
	"countersign.dev/internal/traffic/handshake/servercert"
	"countersign.dev/internal/traffic/handshake/servername"
	"countersign.dev/internal/traffic/handshake/ticket"
	"countersign.dev/internal/traffic/handshake/tlspolicy"
)

// What a Config is made of, under one roof for its builder.
type (
	Certificate      = servercert.Certificate
	Problem          = servercert.Problem
	TLSPolicy        = tlspolicy.Policy
	TicketKeys       = ticket.Keys
	TicketKeysConfig = ticket.Config
	TicketKey        = ticket.Key
)

// LoadCertificate is servercert.Load.
func LoadCertificate(certPEM, keyPEM []byte) (Certificate, []Problem) {
	return servercert.Load(certPEM, keyPEM)
}

// PolicyByName is tlspolicy.ByName.
func PolicyByName(name string) (TLSPolicy, error) { return tlspolicy.ByName(name) }

// NewTicketKeys is ticket.NewKeys.
func NewTicketKeys(c TicketKeysConfig) *TicketKeys { return ticket.NewKeys(c) }

// NormalizeName is servername.Normalize.
func NormalizeName(s string) (string, error) { return servername.Normalize(s) }
