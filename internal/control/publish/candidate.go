package publish

import (
	"errors"
	"io"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/source"
)

// A Candidate is what might come into the place of a bundle or a list.
type Candidate struct {
	URL     string // of the source, as in config.Source
	Content io.ReaderAt
	Size    int64
}

// A candidate is read like the file whose place it takes.
type candidate struct {
	*io.SectionReader
	name string
}

func (c candidate) Name() string { return c.name }

// open returns the candidate, if it is one for s.
func (c *Candidate) open(s config.Source) (opened, bool) {
	if c == nil || c.URL != s.URL {
		return opened{}, false
	}
	return opened{candidate{io.NewSectionReader(c.Content, 0, c.Size), name(s)}, func() error { return nil }}, true
}

// Compare compiles the configuration in force with its files as they are now,
// but for the candidate in the place of one of them. Nothing comes into force,
// nothing is fetched. Now is what is in force; then is nil if a fault is more than
// a warning: a reload would refuse the candidate.
func (p *Publisher) Compare(c Candidate) (now, then *Draft, faults config.Faults, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inForce == nil {
		return nil, nil, nil, errors.New("no configuration is in force yet")
	}
	o := p.options()
	o.Keys, o.candidate, o.use, o.round = nil, &c, p.inForce.used, source.Round{}
	for url, copied := range p.inForce.used {
		o.round[url] = source.Offer{Kept: copied}
	}
	then, faults = Compile(p.inForce.Config, o)
	return p.inForce, then, faults, nil
}
