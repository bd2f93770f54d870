package seen

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"countersign.dev/internal/control/durable"
)

// A journal is the file: a head, then records, each of which says something about
// a slot or a place. A later one is right. What a crash leaves half written at
// the end is cut off.
//
//	record   length (4 octets), CRC-32C (4 octets), kind (1 octet), content
//	'P'      place (2), listener, policy, store, anchor, number (4), as many certificates;
//	         each of these with its length (4) before it
//	'C'      slot (4), place (2), first (4), last (4), certificate
//	'S'      slot (4), place (2), last (4)
//
// Numbers are big-endian.
type journal struct {
	*os.File
	end    int64
	failed bool // and that was said
}

const (
	head       = "countersign clients seen 1\n"
	mostRecord = 1 << 20
	mostSlots  = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func frame(kind byte, content ...[]byte) []byte {
	r := make([]byte, 8, 64)
	r = append(r, kind)
	for _, c := range content {
		r = append(r, c...)
	}
	binary.BigEndian.PutUint32(r, uint32(len(r)-8))
	binary.BigEndian.PutUint32(r[4:], crc32.Checksum(r[8:], castagnoli))
	return r
}

func (p *place) record(id uint16) []byte {
	c := binary.BigEndian.AppendUint16(nil, id)
	field := func(b []byte) { c = append(binary.BigEndian.AppendUint32(c, uint32(len(b))), b...) }
	field([]byte(p.Listener))
	field([]byte(p.Policy))
	field([]byte(p.Store))
	field(p.Anchor)
	c = binary.BigEndian.AppendUint32(c, uint32(len(p.Above)))
	for _, der := range p.Above {
		field(der)
	}
	return frame('P', c)
}

func (s *slot) record(id uint32, leaf []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, id)
	c = binary.BigEndian.AppendUint16(c, s.place)
	c = binary.BigEndian.AppendUint32(c, s.first)
	return frame('C', binary.BigEndian.AppendUint32(c, s.last), leaf)
}

func (t touched) record() []byte {
	c := binary.BigEndian.AppendUint32(nil, t.id)
	c = binary.BigEndian.AppendUint16(c, t.place)
	return frame('S', binary.BigEndian.AppendUint32(c, t.last))
}

// write appends records, and returns where the octet at offset of them is; 0 if
// they could not be written, which is said once.
func (m *Memory) write(records []byte, offset int) int64 {
	j := m.file
	at := j.end + int64(offset)
	var err error
	if len(records) > mostRecord {
		err = fmt.Errorf("a record of %d octets", len(records))
	} else if _, err = j.WriteAt(records, j.end); err == nil {
		j.end += int64(len(records))
		j.failed = false
		return at
	}
	if !j.failed {
		j.failed = true
		m.log.Warn("a client that was seen is not remembered: what is said about a staged bundle or list may lack it", "error", err)
	}
	return 0
}

func (j *journal) close() error { return errors.Join(j.Sync(), j.Close()) }

// replay reads the journal at path, or begins one.
func (m *Memory) replay(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{File: f}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		j.end, err = m.recover(f, size)
	}
	if err == nil && j.end < size {
		m.log.Warn("the end of what is remembered of clients was damaged and is left out", "file", path, "octets", size-j.end)
		err = f.Truncate(j.end)
	}
	if err == nil && j.end == 0 {
		_, err = f.WriteAt([]byte(head), 0)
		j.end = int64(len(head))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

// recover takes in what a journal of that size says, and returns where it ends
// to make sense: 0 if it is none. The error is that of the disk.
func (m *Memory) recover(f io.ReaderAt, size int64) (end int64, err error) {
	got := make([]byte, len(head))
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != head {
		return 0, notEOF(err)
	}
	r := &offsetReader{ReaderAt: f, at: int64(len(head)), size: size}
	for {
		at := r.at
		content, err := r.record()
		if content == nil || err != nil || !m.apply(content, at+8) {
			m.settle()
			return at, err
		}
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// An offsetReader reads through a window.
type offsetReader struct {
	io.ReaderAt
	at, size int64
	window   []byte // what follows at
}

// record returns the kind and content of the next record, valid until the next
// call; nil where none is that makes sense.
func (r *offsetReader) record() ([]byte, error) {
	header, err := r.peek(8)
	if header == nil {
		return nil, err
	}
	n, sum := int(binary.BigEndian.Uint32(header)), binary.BigEndian.Uint32(header[4:])
	if n < 1 || n > mostRecord {
		return nil, nil
	}
	whole, err := r.peek(8 + n)
	if whole == nil || crc32.Checksum(whole[8:], castagnoli) != sum {
		return nil, err
	}
	r.window, r.at = r.window[8+n:], r.at+int64(8+n)
	return whole[8:], nil
}

func (r *offsetReader) peek(n int) ([]byte, error) {
	if int64(n) > r.size-r.at {
		return nil, nil
	}
	if len(r.window) < n {
		r.window = make([]byte, min(max(int64(n), 256<<10), r.size-r.at))
		if _, err := r.ReadAt(r.window, r.at); err != nil {
			return nil, notEOF(err)
		}
	}
	return r.window[:n], nil
}

// apply takes in one record, whose first octet is at; false if it makes no sense.
func (m *Memory) apply(record []byte, at int64) bool {
	c := cursor{rest: record[1:]}
	switch record[0] {
	case 'P':
		id := c.uint16()
		p := &place{Listener: string(c.field()), Policy: string(c.field()), Store: string(c.field()), Anchor: c.field()}
		for n := c.uint32(); n > 0 && !c.bad; n-- {
			p.Above = append(p.Above, c.field())
		}
		if c.bad || id >= mostPlaces {
			return false
		}
		for len(m.places) <= int(id) {
			m.places = append(m.places, nil)
		}
		m.places[id] = p
	case 'C':
		id, s := c.uint32(), slot{place: c.uint16(), first: c.uint32(), last: c.uint32(), used: true}
		if c.bad || len(c.rest) == 0 || id >= mostSlots || !m.isPlace(s.place) {
			return false
		}
		s.told, s.size, s.at = s.last, uint32(len(c.rest)), at+int64(len(record)-len(c.rest))
		sum := sha256.Sum256(c.rest)
		s.print = print(sum[:16])
		for uint32(len(m.slots)) <= id {
			m.slots = append(m.slots, slot{})
		}
		m.slots[id] = s
	case 'S':
		id, place, last := c.uint32(), c.uint16(), c.uint32()
		if c.bad || id >= uint32(len(m.slots)) || !m.slots[id].used || !m.isPlace(place) {
			return false
		}
		s := &m.slots[id]
		s.place, s.last, s.told = place, last, last
	default:
		return false
	}
	return true
}

func (m *Memory) isPlace(id uint16) bool { return int(id) < len(m.places) && m.places[id] != nil }

// settle makes the index of the slots. A certificate that was forgotten and came
// again is in two: the one seen last counts.
func (m *Memory) settle() {
	for i := range m.slots {
		s := &m.slots[i]
		if !s.used {
			m.free = append(m.free, uint32(i))
			continue
		}
		out := uint32(i)
		if other, twice := m.index[s.print]; !twice {
			m.index[s.print] = uint32(i)
			continue
		} else if m.slots[other].last < s.last {
			m.index[s.print], out = uint32(i), other
		}
		m.slots[out] = slot{}
		m.free = append(m.free, out)
	}
}

// A cursor reads fields. Once bad, it stays so.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n uint32) []byte {
	if c.bad || uint64(n) > uint64(len(c.rest)) {
		c.bad = true
		return make([]byte, 4)
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) uint32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }
func (c *cursor) field() []byte {
	return append([]byte(nil), c.take(c.uint32())...)
}

// compact writes the file anew when more than half of it says nothing any more.
func (m *Memory) compact() {
	m.mu.Lock()
	live := int64(len(head))
	for i := range m.slots {
		if m.slots[i].used {
			live += int64(m.slots[i].size) + 23
		}
	}
	m.mu.Unlock()
	if m.file.end < 2*live+1<<20 || !m.reading.TryLock() {
		return
	}
	defer m.reading.Unlock()
	if err := m.rewrite(); err != nil {
		m.log.Warn("what is remembered of clients takes more room on disk than it needs", "error", err)
	}
}

// rewrite replaces the file by one without what has been replaced. m.reading is
// held; nobody else writes.
func (m *Memory) rewrite() error {
	f, err := os.CreateTemp(m.dir, ".clients-*")
	if err != nil {
		return err
	}
	next := &journal{File: f}
	moved, places, err := m.copyTo(next)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(m.dir, "clients"))
	}
	if err != nil {
		f.Close()
		return errors.Join(err, os.Remove(f.Name()))
	}
	m.mu.Lock()
	for i := range m.slots {
		if moved[i] != 0 {
			m.slots[i].at = moved[i]
		}
	}
	for i := range m.places {
		if !places[i] {
			m.places[i] = nil
		}
	}
	m.mu.Unlock()
	m.file.Close()
	m.file = next
	return durable.SyncDir(m.dir)
}

// copyTo writes what is remembered, and returns where each certificate is now,
// and which places are in use. Slots and places keep their numbers.
func (m *Memory) copyTo(next *journal) (moved []int64, places []bool, err error) {
	m.mu.Lock()
	slots := append([]slot(nil), m.slots...)
	held := append([]*place(nil), m.places...)
	m.mu.Unlock()
	moved, places = make([]int64, len(slots)), make([]bool, len(held))
	var pending []byte
	put := func(r []byte) {
		pending = append(pending, r...)
		if len(pending) > 256<<10 {
			_, err = next.WriteAt(pending, next.end)
			next.end += int64(len(pending))
			pending = pending[:0]
		}
	}
	put([]byte(head))
	for _, s := range slots {
		if s.used {
			places[s.place] = true
		}
	}
	for i, p := range held {
		if places[i] {
			put(p.record(uint16(i)))
		}
	}
	for i := range slots {
		s := &slots[i]
		if !s.used {
			continue
		}
		leaf := make([]byte, s.size)
		if _, err := m.file.ReadAt(leaf, s.at); err != nil {
			return nil, nil, err
		}
		r := s.record(uint32(i), leaf)
		moved[i] = next.end + int64(len(pending)+len(r)-len(leaf))
		if put(r); err != nil {
			return nil, nil, err
		}
	}
	_, err = next.WriteAt(pending, next.end)
	next.end += int64(len(pending))
	return moved, places, err
}
