package sticky

import (
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
)

// A Memory is where clients were served, for a while after they were served
// there last. Safe for concurrent use; what is remembered of one client is
// guarded apart from most of the others.
type Memory struct {
	duration atomic.Int64
	now      func() time.Time
	shards   [64]shard
}

// Remembered is how many clients a Memory knows at most: about 64 MiB.
const Remembered = 1 << 20

type shard struct {
	mu      sync.Mutex
	homes   map[balance.Key]home
	cleared int // how many there were left when those that are over were removed last
}

type home struct {
	mark  uint64
	until int64 // nanoseconds since 1970
}

// NewMemory returns an empty Memory; nil: time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now}
}

// Keep sets for how long a client is remembered.
func (m *Memory) Keep(d time.Duration) { m.duration.Store(int64(d)) }

// Home returns what Settle was told of key last, 0 if that is over.
func (m *Memory) Home(key balance.Key) uint64 {
	if key == 0 {
		return 0
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.homes[key]
	if !ok || m.now().UnixNano() >= h.until {
		return 0
	}
	return h.mark
}

// Settle remembers mark for key.
func (m *Memory) Settle(key balance.Key, mark uint64) {
	now := m.now().UnixNano()
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.homes == nil {
		s.homes = map[balance.Key]home{}
	}
	if _, known := s.homes[key]; !known {
		s.makeRoom(now, Remembered/len(m.shards))
	}
	s.homes[key] = home{mark: mark, until: now + m.duration.Load()}
}

func (m *Memory) shard(key balance.Key) *shard {
	return &m.shards[uint64(key)>>32%uint64(len(m.shards))]
}

// makeRoom removes those that are over whenever there are twice as many as after
// the last time, and others too if there are most of them. The caller holds mu.
func (s *shard) makeRoom(now int64, most int) {
	if len(s.homes) < most && len(s.homes) < 2*s.cleared+16 {
		return
	}
	for key, h := range s.homes {
		if now >= h.until {
			delete(s.homes, key)
		}
	}
	for key := range s.homes {
		if len(s.homes) <= most*3/4 { // a quarter at once, or each that comes would look for one
			break
		}
		delete(s.homes, key)
	}
	s.cleared = len(s.homes)
}
