package seen

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"
)

// A Client is a certificate that was seen.
type Client struct {
	Listener, Policy, Store string // under which it was admitted last
	Anchor                  []byte // DER, of the authority at which its path ended
	First, Last             time.Time
	Presented               []*x509.Certificate // leaf first
}

// Fingerprint is the SHA-256 of the certificate.
func (c *Client) Fingerprint() [32]byte { return sha256.Sum256(c.Presented[0].Raw) }

// Each shows every certificate of whoever has come until now, those seen last
// first, until visit returns an error, which Each returns. What is in Presented
// beside the leaf is shared.
func (m *Memory) Each(visit func(Client) error) error {
	m.settled()
	m.reading.RLock()
	defer m.reading.RUnlock()
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return os.ErrClosed
	}
	slots := slices.DeleteFunc(slices.Clone(m.slots), func(s slot) bool { return !s.used })
	places := slices.Clone(m.places)
	m.mu.Unlock()
	slices.SortFunc(slots, func(a, b slot) int { return int(int64(b.last) - int64(a.last)) })
	above := map[*place][]*x509.Certificate{}
	for _, s := range slots {
		p := places[s.place]
		rest, parsed := above[p]
		if !parsed {
			for _, der := range p.Above {
				c, err := x509.ParseCertificate(der)
				if err != nil {
					return err
				}
				rest = append(rest, c)
			}
			above[p] = rest
		}
		der := make([]byte, s.size)
		if _, err := m.file.ReadAt(der, s.at); err != nil {
			return fmt.Errorf("%s: %w", m.file.Name(), err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", m.file.Name(), err)
		}
		c := Client{Listener: p.Listener, Policy: p.Policy, Store: p.Store, Anchor: p.Anchor,
			First: time.Unix(int64(s.first), 0).UTC(), Last: time.Unix(int64(s.last), 0).UTC(),
			Presented: append([]*x509.Certificate{leaf}, rest...)}
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until everybody who has come is written down.
func (m *Memory) settled() {
	a := arrival{reached: make(chan struct{})}
	select {
	case m.incoming <- a:
	case <-m.done:
		return
	}
	select {
	case <-a.reached:
	case <-m.done:
	}
}
