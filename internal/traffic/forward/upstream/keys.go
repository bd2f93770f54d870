package upstream

import (
	"fmt"
	"strings"

	"countersign.dev/internal/traffic/forward/balance"
)

// A hashOn is by what algorithm hash keeps requests together.
type hashOn struct {
	by     byte   // one of those below; 0: nothing
	header string // of byHeader, in lower case
}

const (
	byClient = 'c'
	bySource = 's'
	byFlow   = 'f'
	byHeader = 'h'
)

// parseHashOn reads client, source_ip, flow or header:NAME.
func parseHashOn(s string) (hashOn, error) {
	switch s {
	case "client":
		return hashOn{by: byClient}, nil
	case "source_ip":
		return hashOn{by: bySource}, nil
	case "flow":
		return hashOn{by: byFlow}, nil
	}
	if name, ok := strings.CutPrefix(s, "header:"); ok && name != "" {
		return hashOn{by: byHeader, header: strings.ToLower(name)}, nil
	}
	return hashOn{}, fmt.Errorf("hash_on: %q, want client, source_ip, flow or header:NAME", s)
}

// key returns what a's requests are kept together by. A client without a verified
// certificate is known by where it comes from, a request without the field too.
func (h hashOn) key(a *Asker) balance.Key {
	switch h.by {
	case 0:
		return 0
	case byClient:
		if a.Client != 0 {
			return a.Client
		}
	case byFlow:
		if a.Flow != 0 {
			return a.Flow
		}
	case byHeader:
		if key := balance.KeyOf(a.Header); key != 0 {
			return key
		}
	}
	return a.source()
}

// source is the key of where a comes from, 0 if that is not known.
func (a *Asker) source() balance.Key {
	if !a.Source.IsValid() {
		return 0
	}
	address := a.Source.As16()
	return balance.KeyOf(address[:])
}
