package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
)

// mostPaths bounds the paths that are remembered of one chain. A CA of the
// fleet can have certificates that issue each other in every order; such a chain
// is judged anew each time, rather than costing kilobytes.
const mostPaths = 8

// A memory knows for which presented chains path building succeeded, and by
// which issuers: signatures do not change. It is bounded and sharded. Each
// shard has two halves: what is asked for moves to the young one; when that is
// full the old one is forgotten, so that chains in use stay.
//
// It keeps no leaf: a remembered device costs about a hundred bytes.
type memory struct {
	shards []shard
	half   int // entries a shard's half may have

	interned sync.Mutex
	cas      map[chainKey]*x509.Certificate
}

// mostInterned bounds the CA certificates that entries share. Those of clients'
// paths are few; beyond the bound an entry keeps its own copy.
const mostInterned = 4096

type shard struct {
	mu         sync.Mutex
	young, old map[chainKey][]issuers
}

// chainKey is the SHA-256 of a presented chain.
type chainKey [sha256.Size]byte

// issuers is a path without its leaf: from the leaf's issuer to the anchor.
type issuers []*x509.Certificate

func newMemory(size int) *memory {
	if size <= 0 {
		return nil
	}
	shards := 64
	for shards > 1 && size < 16*shards {
		shards /= 2
	}
	m := &memory{shards: make([]shard, shards), half: max(size/shards/2, 1), cas: map[chainKey]*x509.Certificate{}}
	for i := range m.shards {
		m.shards[i].young = map[chainKey][]issuers{}
	}
	return m
}

// keyOf hashes the certificates one by one, then their hashes, which needs no
// buffer of their size.
func keyOf(presented []*x509.Certificate) chainKey {
	var both [2 * sha256.Size]byte
	both[0] = byte(len(presented))
	for _, c := range presented {
		one := sha256.Sum256(c.Raw)
		copy(both[sha256.Size:], one[:])
		sum := sha256.Sum256(both[:])
		copy(both[:], sum[:])
	}
	return chainKey(both[:sha256.Size])
}

func (m *memory) shard(k chainKey) *shard { return &m.shards[int(k[0])%len(m.shards)] }

// get returns the paths of a chain seen before. It does not allocate unless the
// entry moves.
func (m *memory) get(k chainKey) []issuers {
	if m == nil {
		return nil
	}
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if paths, ok := s.young[k]; ok {
		return paths
	}
	paths, ok := s.old[k]
	if ok {
		s.put(k, paths, m.half)
	}
	return paths
}

func (m *memory) put(k chainKey, paths []issuers) {
	if m == nil || len(paths) > mostPaths {
		return
	}
	m.intern(paths)
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(k, paths, m.half)
}

func (s *shard) put(k chainKey, paths []issuers, half int) {
	if len(s.young) >= half {
		s.old, s.young = s.young, make(map[chainKey][]issuers)
	}
	s.young[k] = paths
}

// intern lets entries share their CA certificates: crypto/tls parses the
// intermediates of every connection anew.
func (m *memory) intern(paths []issuers) {
	m.interned.Lock()
	defer m.interned.Unlock()
	for _, path := range paths {
		for i, c := range path {
			k := chainKey(sha256.Sum256(c.Raw))
			if have := m.cas[k]; have != nil {
				path[i] = have
			} else if len(m.cas) < mostInterned {
				m.cas[k] = c
			}
		}
	}
}

// knows reports whether a CA certificate was on the path of a chain that passed:
// an anchor vouches for it.
func (m *memory) knows(c *x509.Certificate) bool {
	if m == nil {
		return false
	}
	k := chainKey(sha256.Sum256(c.Raw))
	m.interned.Lock()
	defer m.interned.Unlock()
	return m.cas[k] != nil
}

// len returns how many chains are remembered.
func (m *memory) len() int {
	if m == nil {
		return 0
	}
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.young)
		for k := range s.old {
			if _, moved := s.young[k]; !moved {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}
