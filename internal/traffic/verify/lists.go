package verify

import "countersign.dev/internal/traffic/verify/revocation"

// Revocation is what the store knows of revoked certificates.
func (s *Store) Revocation() *revocation.Checker { return s.revocation }
