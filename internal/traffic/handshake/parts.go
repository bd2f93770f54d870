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
	SharedTicketKeys = ticket.Shared
)

// TicketLifetime is ticket.DefaultLifetime.
const TicketLifetime = ticket.DefaultLifetime

// LoadCertificate is servercert.Load.
func LoadCertificate(certPEM, keyPEM []byte) (Certificate, []Problem) {
	return servercert.Load(certPEM, keyPEM)
}

// PolicyByName is tlspolicy.ByName.
func PolicyByName(name string) (TLSPolicy, error) { return tlspolicy.ByName(name) }

// NewTicketKeys is ticket.NewKeys.
func NewTicketKeys(c TicketKeysConfig) *TicketKeys { return ticket.NewKeys(c) }

// ShareTicketKeys is ticket.NewShared.
func ShareTicketKeys(keys ...TicketKey) (*SharedTicketKeys, error) { return ticket.NewShared(keys...) }

// NormalizeName is servername.Normalize.
func NormalizeName(s string) (string, error) { return servername.Normalize(s) }
