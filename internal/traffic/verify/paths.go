package verify

import "crypto/x509"

// Paths returns the paths, leaf first and anchor last, on which Verify would
// accept what was presented if no more were known about revocation than that the
// lists do not have it. There is none for a client that is refused anyway. The
// caller must not change them.
func (s *Store) Paths(presented []*x509.Certificate, o Options) [][]*x509.Certificate {
	o.Trace = nil
	o.setDefaults(s)
	if s.shape(presented, &o) != nil {
		return nil
	}
	key := keyOf(presented)
	all := s.memory.get(key)
	known := all != nil
	if !known {
		all, _ = s.build(presented, o.Now)
	}
	var open [][]*x509.Certificate
	for _, issuers := range all {
		path := append([]*x509.Certificate{presented[0]}, issuers...)
		if _, _, d := s.fit(path, &o); d == nil && !s.revocation.OnList(path) {
			open = append(open, path)
		}
	}
	if !known && len(open) > 0 {
		s.memory.put(key, all) // Verify asks for it next
	}
	return open
}
