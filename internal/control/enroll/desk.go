package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll/pace"
	"countersign.dev/internal/control/enroll/sealed"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/identify"
)

// A Claim is how a device shows that it is the one that is meant.
type Claim string

// The claims.
const (
	ClaimNone     Claim = "none"     // it does not: the first to come is served
	ClaimSecret   Claim = "secret"   // by a secret that was printed on it
	ClaimKey      Claim = "key"      // by a key that was pinned when it was provisioned
	ClaimApproval Claim = "approval" // an operator looks at who asks
)

// An Authority issues. *ca.Authority is one.
type Authority interface {
	Certify(ctx context.Context, r issuance.Request) (ca.Issued, error)
	RevokeCertificate(c *x509.Certificate, reason crl.Reason, at time.Time) (ca.Revocation, error)
	Issuing() *x509.Certificate
	Roots() ([]*x509.Certificate, error)
	Issuers() []*x509.Certificate
}

// Settings are what a configuration says of enrollment.
type Settings struct {
	Store *store.Store
	IDs   device.IDs
	// Bootstrap is the id in the certificate that all devices are made with.
	Bootstrap string
	// Makers have devices registered that come with a certificate of theirs; nil: nobody's.
	Makers *Makers
	// Claim is that of devices for which no other was set.
	Claim Claim
	// Name is how a certificate names a device: {id} stands for its id.
	Name string
	// Authority issues; nil: there is nothing but what operators upload.
	Authority Authority
	// RenewAfterExpiry is how long after its end a certificate of Authority may be
	// renewed; 0: not at all.
	RenewAfterExpiry time.Duration
	// Box seals what operators upload; nil: nothing can be.
	Box *sealed.Box
	// PerSource and PerDevice are attempts a minute.
	PerSource, PerDevice int
	// Given is called with a certificate before the device gets it, so that the node
	// knows it when the device comes. nil: nobody is told.
	Given func(ctx context.Context, device string, fingerprint [32]byte)
	// Retry is what a device is told to wait that comes too early.
	Retry time.Duration
}

// Config is what a Desk needs.
type Config struct {
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Desk hands out certificates. It is safe for concurrent use.
type Desk struct {
	logger *slog.Logger
	now    func() time.Time

	inUse atomic.Pointer[office]
	turns turns

	counting sync.Mutex
	outcomes map[string]uint64
}

// An office is settings with what they need.
type office struct {
	Settings
	sources, devices, notes *pace.Limit
}

// New makes a Desk that is closed until Use.
func New(cfg Config) *Desk {
	d := &Desk{logger: cfg.Logger, now: cfg.Now}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d
}

// Use works by these settings from now on; nil closes the desk.
func (d *Desk) Use(s *Settings) {
	if s == nil {
		d.inUse.Store(nil)
		return
	}
	next := &office{Settings: *s}
	if was := d.inUse.Load(); was != nil && was.PerSource == s.PerSource && was.PerDevice == s.PerDevice {
		next.sources, next.devices, next.notes = was.sources, was.devices, was.notes
	} else {
		next.sources, next.devices, next.notes = pace.New(s.PerSource), pace.New(s.PerDevice), pace.New(1)
	}
	d.inUse.Store(next)
}

// A Party is who asks.
type Party struct {
	Client  identify.Client
	Chain   []*x509.Certificate // from the client's certificate to its anchor; nil: it was not verified
	Address netip.Addr
}

// A Request is what a device asks for.
type Request struct {
	By Party
	// Device is its id in any spelling; "": as the signing request, or its own
	// certificate, says.
	Device string
	// CSR is a signing request, PEM or DER; nil: none.
	CSR []byte
	// Secret is its claim, where that is one.
	Secret string
	// Renew asks for what the device's own certificate says, once more, and takes
	// that certificate.
	Renew bool
	// Keyless says that the answer has no place for a private key.
	Keyless bool
}

// A Delivery is what the device gets.
type Delivery struct {
	Device string
	// Chain is the certificate with those behind it, but for the root.
	Chain []*x509.Certificate
	// Key is the uploaded one in PEM; nil: the device has its own.
	Key []byte
	// Again: it was delivered before, to the same key.
	Again bool
}

// Enroll hands out a certificate. An error is a *Refusal.
func (d *Desk) Enroll(ctx context.Context, r Request) (*Delivery, error) {
	office := d.inUse.Load()
	if office == nil {
		return nil, refuse(404, "EnrollmentOff", "There is no enrollment here.", "the configuration has no devices.initialize, and no authority with est")
	}
	a := &attempt{desk: d, office: office, Request: r, now: d.now()}
	delivery, err := a.run(ctx)
	refusal := AsRefusal(err)
	a.tell(delivery, refusal)
	if refusal != nil {
		return nil, refusal
	}
	if office.Given != nil {
		office.Given(ctx, delivery.Device, sha256.Sum256(delivery.Chain[0].Raw))
	}
	return delivery, nil
}

// Authorities are those that devices have to believe: who issues now, the root, and
// what shows the root by the one before it.
func (d *Desk) Authorities() ([]*x509.Certificate, error) {
	o := d.inUse.Load()
	if o == nil || o.Authority == nil {
		return nil, refuse(404, "EnrollmentOff", "There is no enrollment here.", "no authority is configured (devices.authority)")
	}
	roots, err := o.Authority.Roots()
	if err != nil {
		return nil, err
	}
	return append([]*x509.Certificate{o.Authority.Issuing()}, roots...), nil
}

// Outcomes are how many attempts have ended how: delivered, repeated, or the code
// of a Refusal.
func (d *Desk) Outcomes() map[string]uint64 {
	d.counting.Lock()
	defer d.counting.Unlock()
	return maps.Clone(d.outcomes)
}

func (d *Desk) count(delivery *Delivery, refusal *Refusal) {
	outcome := "delivered"
	if refusal != nil {
		outcome = refusal.Code
	} else if delivery.Again {
		outcome = "repeated"
	}
	d.counting.Lock()
	defer d.counting.Unlock()
	if d.outcomes == nil {
		d.outcomes = map[string]uint64{}
	}
	d.outcomes[outcome]++
}

// tell writes down what became of an attempt.
func (a *attempt) tell(delivery *Delivery, refusal *Refusal) {
	a.desk.count(delivery, refusal)
	log := a.desk.logger.With("device", a.id, "address", a.By.Address.String(), "key", printed(a.key))
	if id := a.By.Client.Identity(); id != nil {
		log = log.With("presented", id.Subject, "serial", id.Serial)
	}
	switch {
	case refusal == nil:
		log.Info("a device has got its certificate", "issued", serial(delivery.Chain[0]), "again", delivery.Again)
	case refusal.Status == 202:
		log.Info("a device asks too early for its certificate", "code", refusal.Code, "reason", refusal.Reason)
	default:
		log.Warn("enrollment is refused", "code", refusal.Code, "reason", refusal.Reason)
	}
}

// turns lets one attempt at a time be made for each device. Other nodes have their
// own: what is decided is decided in the store.
type turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	mu      sync.Mutex
	waiting int
}

func (t *turns) take(id string) (done func()) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[string]*turn{}
	}
	one := t.held[id]
	if one == nil {
		one = &turn{}
		t.held[id] = one
	}
	one.waiting++
	t.mu.Unlock()
	one.mu.Lock()
	return func() {
		one.mu.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.waiting--; one.waiting == 0 {
			delete(t.held, id)
		}
	}
}
