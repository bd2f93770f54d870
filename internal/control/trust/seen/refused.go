package seen

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// Bounds of what is remembered of those who are refused, which anybody can be:
// how many, and of how many octets each.
const (
	mostRefused  = 256
	largeRefused = 8 << 10
)

// A throng is who was refused last: those of a new authority whose certificate
// has not come into the bundle yet, perhaps. It is forgotten when the program ends.
type throng struct {
	mu    sync.Mutex
	ring  []stranger
	next  int
	index map[print]int
}

type stranger struct {
	print            print
	listener, policy string
	first, last      time.Time
	presented        [][]byte
}

// Refused notes that a client was refused. It does not wait for anything.
func (m *Memory) Refused(listener, policy string, presented []*x509.Certificate) {
	size := 0
	for _, c := range presented {
		size += len(c.Raw)
	}
	if len(presented) == 0 || size > largeRefused {
		return
	}
	sum := sha256.Sum256(presented[0].Raw)
	p, now := print(sum[:16]), m.now()
	t := &m.throng
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, known := t.index[p]; known && t.ring[i].listener == listener && t.ring[i].policy == policy {
		t.ring[i].last = now
		return
	}
	s := stranger{print: p, listener: listener, policy: policy, first: now, last: now}
	for _, c := range presented {
		s.presented = append(s.presented, bytes.Clone(c.Raw))
	}
	if t.index == nil {
		t.index = map[print]int{}
	}
	i := len(t.ring)
	if i < mostRefused {
		t.ring = append(t.ring, s)
	} else {
		i = t.next
		t.next = (t.next + 1) % mostRefused
		if old := t.ring[i].print; t.index[old] == i {
			delete(t.index, old)
		}
		t.ring[i] = s
	}
	t.index[p] = i
}

// Strangers returns those refused last, mostRefused at most.
func (m *Memory) Strangers() []Client {
	t := &m.throng
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Client
	for i := range t.ring {
		s := &t.ring[i]
		c := Client{Listener: s.listener, Policy: s.policy, First: s.first.UTC(), Last: s.last.UTC()}
		for _, der := range s.presented {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				break
			}
			c.Presented = append(c.Presented, cert)
		}
		if len(c.Presented) == len(s.presented) {
			all = append(all, c)
		}
	}
	return all
}
