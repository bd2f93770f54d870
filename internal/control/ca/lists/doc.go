// Package lists signs an authority's revocation lists, of what its ledger has as revoked.
package lists
