package ca

import (
	"cmp"
	"time"

	"countersign.dev/internal/control/ca/founding"
	"countersign.dev/internal/control/ca/issuance"
)

// Defaults of a Founding and a Request.
const (
	day                    = 24 * time.Hour
	DefaultName            = "Fleet CA"
	DefaultRootLifetime    = 20 * 365 * day
	DefaultIssuingLifetime = 10 * 365 * day
	DefaultLifetime        = 365 * day
)

// A Founding is what a new authority is to be. Its zero values are the defaults.
// Keys are encrypted where Config has a passphrase for them.
type Founding struct {
	Config
	Name            string // common names become "NAME Root", "NAME Issuing"
	Key             issuance.KeyType
	RootLifetime    time.Duration
	IssuingLifetime time.Duration
	IssuingToken    string // URI of the issuing authority's key in a token; "": in a file

	first int // the number in the issuing authority's name; 0: none
}

// Init makes a new authority in a directory that does not exist or is empty.
func Init(f Founding) (*Authority, error) {
	d, err := founding.Make(founding.Founding{
		Config: f.directory(), Lists: f.lists(), Name: cmp.Or(f.Name, DefaultName), Key: f.Key, IssuingToken: f.IssuingToken, First: f.first,
		RootLifetime: cmp.Or(f.RootLifetime, DefaultRootLifetime), IssuingLifetime: cmp.Or(f.IssuingLifetime, DefaultIssuingLifetime),
	})
	if err != nil {
		return nil, err
	}
	return f.authority(d), nil
}
