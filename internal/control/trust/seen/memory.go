package seen

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"countersign.dev/internal/traffic/verify"
)

// Config is what a Memory is made from.
type Config struct {
	Dir    string // where it is kept; made if need be
	Most   int    // certificates; 0: 100000. The one not seen for the longest is forgotten first
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// A Memory remembers certificates in one directory. It is safe for concurrent use.
type Memory struct {
	dir string
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	most   int
	index  map[print]uint32 // to slots
	slots  []slot
	free   []uint32 // slots that hold nothing
	places []*place // nil: free
	closed bool

	throng throng // of the refused

	incoming chan arrival
	missed   atomic.Uint64 // arrivals that nobody had time for
	done     chan struct{}
	running  sync.WaitGroup

	reading sync.RWMutex // held for writing while file is replaced
	file    *journal
	lock    *os.File
}

// print is half of a certificate's SHA-256, which is enough to tell those that
// authorities issue from each other.
type print [16]byte

// A slot is one certificate. It has no pointers, so that a hundred thousand of
// them cost the garbage collector nothing.
type slot struct {
	print       print
	first, last uint32 // seconds since 1970
	told        uint32 // last as it is in the file
	place       uint16
	used        bool
	at          int64 // of its record
	size        uint32
}

// A place is what many clients have in common: under what they were admitted, and
// what they present beside their own certificates.
type place struct {
	Listener, Policy, Store string
	Anchor                  []byte   // DER
	Above                   [][]byte // presented beside the leaf, DER, in their order
}

func (p *place) is(listener, policy, store string, anchor *x509.Certificate, presented []*x509.Certificate) bool {
	if p.Listener != listener || p.Policy != policy || p.Store != store || len(p.Above) != len(presented)-1 || !bytes.Equal(p.Anchor, anchor.Raw) {
		return false
	}
	for i, c := range presented[1:] {
		if !bytes.Equal(p.Above[i], c.Raw) {
			return false
		}
	}
	return true
}

// mostPlaces bounds what clients may present beside their own certificates, which
// is up to them. Clients of a place beyond it are not remembered.
const mostPlaces = 4096

// An arrival is a client of which something has to be written down.
type arrival struct {
	print     print
	at        uint32
	leaf      []byte
	place     place
	presented []*x509.Certificate
	anchor    *x509.Certificate

	reached chan struct{} // nil, or closed when those before have been written down
}

// Open returns the Memory kept in cfg.Dir. What was damaged there, by a crash, is
// left out. Close releases it.
func Open(cfg Config) (*Memory, error) {
	m := &Memory{dir: cfg.Dir, log: cfg.Logger, now: cfg.Now, most: cfg.Most, index: map[print]uint32{},
		incoming: make(chan arrival, 1024), done: make(chan struct{})}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.most == 0 {
		m.most = 100000
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if m.lock, err = os.OpenFile(filepath.Join(cfg.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(m.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		m.lock.Close()
		return nil, fmt.Errorf("%s is in use by another countersign (%w): give each its own node.data_dir", cfg.Dir, err)
	}
	if m.file, err = m.replay(filepath.Join(cfg.Dir, "clients")); err != nil {
		m.lock.Close()
		return nil, err
	}
	m.running.Go(m.work)
	return m, nil
}

// Limit changes how many certificates are remembered.
func (m *Memory) Limit(most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = most
}

// Len is how many certificates are remembered, Missed how many were not, so far,
// because too many new ones came at once: they are remembered when they come again.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.index)
}

// Missed is explained at Len.
func (m *Memory) Missed() uint64 { return m.missed.Load() }

// Came notes that a client was admitted. fingerprint is the SHA-256 of its
// certificate. It does not wait for anything.
func (m *Memory) Came(listener, policy string, chain verify.Chain, fingerprint [32]byte) {
	path, presented := chain.Path(), chain.Presented()
	if len(path) == 0 || len(presented) == 0 {
		return
	}
	anchor, store, now := path[len(path)-1], chain.StoreName(), m.seconds()
	if m.touch(print(fingerprint[:16]), now, func(p *place) bool { return p.is(listener, policy, store, anchor, presented) }) {
		return
	}
	a := arrival{print: print(fingerprint[:16]), at: now, leaf: presented[0].Raw, anchor: anchor,
		presented: slices.Clone(presented), // whose owner will clear it
		place:     place{Listener: listener, Policy: policy, Store: store}}
	select {
	case m.incoming <- a:
	default:
		m.missed.Add(1)
	}
}

// Left notes that a client's connection has ended: until now it was there.
func (m *Memory) Left(fingerprint [32]byte) {
	m.touch(print(fingerprint[:16]), m.seconds(), func(*place) bool { return true })
}

// touch reports whether the certificate is known, in that place.
func (m *Memory) touch(p print, now uint32, same func(*place) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, known := m.index[p]
	if !known {
		return false
	}
	s := &m.slots[i]
	s.last = max(s.last, now)
	return same(m.places[s.place])
}

func (m *Memory) seconds() uint32 { return uint32(m.now().Unix()) }

// Close writes out when who was last seen, and releases the file.
func (m *Memory) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	close(m.done)
	m.running.Wait()
	m.reading.Lock()
	defer m.reading.Unlock()
	err := m.file.close()
	m.lock.Close()
	return err
}

// How often the file is told of those who were seen again, and of whom: whose
// time there is that much too old.
const (
	round = time.Minute
	stale = 3600
)

// work does what handshakes have no time for.
func (m *Memory) work() {
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		select {
		case a := <-m.incoming:
			m.admit(a)
		case <-tick.C:
			m.tell(stale)
			m.compact()
		case <-m.done:
			for {
				select {
				case a := <-m.incoming:
					m.admit(a)
					continue
				default:
				}
				break
			}
			m.tell(1)
			return
		}
	}
}

// admit writes down one that is new, or that is in another place than before.
func (m *Memory) admit(a arrival) {
	if a.reached != nil {
		close(a.reached)
		return
	}
	place, ok := m.placeOf(a)
	if !ok {
		m.missed.Add(1)
		return
	}
	m.mu.Lock()
	i, known := m.index[a.print]
	if known {
		s := &m.slots[i]
		s.place, s.told = place, s.last
		t := touched{i, s.last, s.place}
		m.mu.Unlock()
		m.write(t.record(), 0)
		return
	}
	full := len(m.index) >= m.most
	m.mu.Unlock()
	if full && !m.forget() {
		return
	}
	m.mu.Lock()
	var id uint32
	if n := len(m.free); n > 0 {
		id, m.free = m.free[n-1], m.free[:n-1]
	} else {
		id = uint32(len(m.slots))
		m.slots = append(m.slots, slot{})
	}
	m.mu.Unlock()
	s := slot{print: a.print, first: a.at, last: a.at, told: a.at, place: place, used: true, size: uint32(len(a.leaf))}
	r := s.record(id, a.leaf)
	s.at = m.write(r, len(r)-len(a.leaf))
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.at == 0 { // the disk is full: it has been said
		m.free = append(m.free, id)
		return
	}
	m.slots[id] = s
	m.index[a.print] = id
}

// placeOf finds the place of an arrival, or makes it.
func (m *Memory) placeOf(a arrival) (uint16, bool) {
	p := &a.place
	m.mu.Lock()
	free := -1
	for i, have := range m.places {
		if have == nil {
			free = i
		} else if have.is(p.Listener, p.Policy, p.Store, a.anchor, a.presented) {
			m.mu.Unlock()
			return uint16(i), true
		}
	}
	if free < 0 && len(m.places) < mostPlaces {
		free = len(m.places)
		m.places = append(m.places, nil)
	}
	m.mu.Unlock()
	if free < 0 {
		return 0, false
	}
	p.Anchor = bytes.Clone(a.anchor.Raw)
	for _, c := range a.presented[1:] {
		p.Above = append(p.Above, bytes.Clone(c.Raw))
	}
	if m.write(p.record(uint16(free)), 0) == 0 {
		return 0, false
	}
	m.mu.Lock()
	m.places[free] = p
	m.mu.Unlock()
	return uint16(free), true
}

// forget makes room: a sixteenth of those that were not seen for the longest.
func (m *Memory) forget() bool {
	type old struct{ last, id uint32 }
	m.mu.Lock()
	all := make([]old, 0, len(m.index))
	for i := range m.slots {
		if m.slots[i].used {
			all = append(all, old{m.slots[i].last, uint32(i)})
		}
	}
	n := max(len(all)-m.most, 0) + m.most/16 + 1
	m.mu.Unlock() // handshakes need it
	slices.SortFunc(all, func(a, b old) int { return int(int64(a.last) - int64(b.last)) })
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range all[:min(n, len(all))] {
		if s := &m.slots[o.id]; s.used && s.last == o.last {
			delete(m.index, s.print)
			*s = slot{}
			m.free = append(m.free, o.id)
		}
	}
	return len(m.index) < m.most
}

// A touched slot is one whose time or place has changed.
type touched struct {
	id, last uint32
	place    uint16
}

// tell has the file know of those who were seen since, where it is that much out of date.
func (m *Memory) tell(seconds uint32) {
	m.mu.Lock()
	var all []touched
	for i := range m.slots {
		if s := &m.slots[i]; s.used && s.last-s.told >= seconds {
			s.told = s.last
			all = append(all, touched{uint32(i), s.last, s.place})
		}
	}
	m.mu.Unlock()
	for some := range slices.Chunk(all, 4096) {
		var r []byte
		for _, t := range some {
			r = append(r, t.record()...)
		}
		m.write(r, 0)
	}
}
