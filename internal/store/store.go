package store

import (
	"context"
	"iter"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca/ledger"
)

// A Store is one database, noun by noun.
type Store struct {
	Devices     Devices
	Credentials Credentials
	Enrollments Enrollments
	Sightings   Sightings
	Trail       Trail
	Changes     Changes
	Standings   Standings
	// Ledger is that of the authority with this name, empty the first time.
	Ledger func(authority string) ledger.Ledger

	// Close waits for what is under way.
	Close func() error
}

// Devices keeps devices. Times are kept to the millisecond.
type Devices interface {
	// Device returns one device, or ErrUnknown.
	Device(ctx context.Context, id string) (countersign.Device, error)
	// List returns one page.
	List(ctx context.Context, q Query) (Page, error)
	// Create adds a device, or says ErrExists. The entry is the first of its trail.
	Create(ctx context.Context, d countersign.Device, e countersign.TrailEntry) error
	// Update lets edit alter a device while nobody else does, and keeps what it
	// makes of it. An error of edit is returned as it is, and nothing is kept.
	// edit must not use the store.
	Update(ctx context.Context, id string, edit func(*Draft) error) (countersign.Device, error)
	// Import adds and alters many devices.
	Import(ctx context.Context, in Import) error
}

// A Draft is a device that is being altered.
type Draft struct {
	Device countersign.Device // all but ID, Revision and what was seen may be altered
	Entry  countersign.TrailEntry
	// EndCredentials revokes every credential that is valid, and forgets the
	// enrollment that they were got by. Enroll does not heed it.
	EndCredentials bool
}

// Credentials keeps the certificates of devices.
type Credentials interface {
	// Add keeps the credential of a device; the device must exist (ErrUnknown),
	// and its fingerprint must be new (ErrExists).
	Add(ctx context.Context, c countersign.Credential, e countersign.TrailEntry) error
	// Of returns the credentials of a device, the latest first.
	Of(ctx context.Context, device string) ([]countersign.Credential, error)
	// Credential finds one by the SHA-256 of its DER, or says ErrUnknown.
	Credential(ctx context.Context, fingerprint [32]byte) (countersign.Credential, error)
}

// A Sighting is that a device was here.
type Sighting struct {
	Device  string
	At      time.Time
	Address string
}

// Sightings keeps when devices were seen. They are not entries of the trail, nor
// lines of the change log: nothing is decided by them.
type Sightings interface {
	// Record keeps many at once. An older one than is known changes nothing, and
	// one of an unknown device is dropped.
	Record(ctx context.Context, seen []Sighting) error
}

// Trail reads what was done to devices. It is written by what is done.
type Trail interface {
	// Of returns at most limit entries of a device behind number after, in order.
	Of(ctx context.Context, device string, after int64, limit int) ([]countersign.TrailEntry, error)
}

// A Change names something that was altered: it has to be read anew.
type Change struct {
	Noun string // NounDevice
	Key  string
}

// NounDevice is the noun of changes of devices, their credentials included.
const NounDevice = "device"

// A Cursor is a place in the change log. It is for the store alone to read.
type Cursor string

// Changes is the change log, which every node reads for itself.
type Changes interface {
	// Now returns the place behind everything that has been changed.
	Now(ctx context.Context) (Cursor, error)
	// Since calls each for everything that became visible behind from, at least
	// once, and returns the place behind it. ErrCursorLost: it cannot be told any
	// more what was changed; forget everything and start at Now.
	Since(ctx context.Context, from Cursor, each func(Change)) (Cursor, error)
	// Wait returns early when something may have changed, nil in any case but the
	// end of ctx. The log is asked afterwards, whatever it returned.
	Wait(ctx context.Context, atMost time.Duration) error
	// Prune forgets what is older than before. Cursors of that time are lost.
	Prune(ctx context.Context, before time.Time) error
}

// A Query asks for a page of devices.
type Query struct {
	// Labels must all be there with these values.
	Labels map[string]string
	// States: any of them; none is all.
	States []countersign.State
	// SeenSince and SeenBefore bound when a device was last seen: at or after, and
	// before, where never is before everything. With any of them the page is in
	// the order of LastSeen, then ID; else in the order of ID.
	SeenSince, SeenBefore time.Time
	// After is Next of the page before.
	After string
	// Limit is at most MaxPage; 0 is 100.
	Limit int
}

// MaxPage is the most that a page can hold.
const MaxPage = 1000

// A Page is a part of what was asked for.
type Page struct {
	Devices []countersign.Device
	// Next asks for the next page; "" is the end. So that no page takes long, one
	// may hold less than was asked for, even nothing, and still have a next.
	Next string
}

// An Import is many devices at once. Within one import, no two rows have the same
// ID, and they come in the order of their IDs.
type Import struct {
	// Rows are handled batch by batch; an error ends the import.
	Rows iter.Seq2[[]Row, error]
	// Atomic keeps everything or nothing. Otherwise each batch is kept as it comes.
	Atomic bool
	// Entry has Who, Why and At of all entries of the trail.
	Entry countersign.TrailEntry
	// Done is told what became of each batch. With Atomic that holds only once
	// Import has returned without an error.
	Done func([]Row, []Outcome)
}

// A Row is a device as an import has it. What is nil or empty is left as it is,
// or gets its default where the device is new.
type Row struct {
	ID     string
	State  countersign.State // of a new device; that of a known one stays. Empty: provisioned
	Labels map[string]string // all labels there are
	Notes  *string
	Line   int // where the row comes from
}

// An Outcome is what became of a row.
type Outcome string

// The outcomes of rows.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)
