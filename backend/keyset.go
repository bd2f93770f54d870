package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how long keys are used without asking again: what a gateway has
	// retired is forgotten after that.
	keysFresh = 5 * time.Minute
	// keysPause is the least between two questions, whatever kid tokens name.
	keysPause = 5 * time.Second
	// keysSize bounds a JWK Set, in bytes.
	keysSize = 1 << 20
)

// A keySet has the keys of all nodes of a gateway. Reading what is known takes no
// lock; one request at a time asks for more.
type keySet struct {
	sources []string
	client  *http.Client
	now     func() time.Time
	known   atomic.Pointer[known]

	asking sync.Mutex
	last   map[string]map[string]*ecdsa.PublicKey // by source, then by kid
}

// known is what was learned when the sources were last asked.
type known struct {
	keys  map[string]*ecdsa.PublicKey // by kid
	asked time.Time
	err   error // of the sources that did not answer; their last keys are kept
}

func newKeySet(sources []string, client *http.Client, now func() time.Time) (*keySet, error) {
	for _, s := range sources {
		if scheme, _, isURL := strings.Cut(s, "://"); s == "" || isURL && scheme != "https" && scheme != "http" {
			return nil, fmt.Errorf("Keys has %q: want an https:// or http:// URL, or the path of a file", s)
		}
	}
	k := &keySet{sources: sources, client: client, now: now, last: map[string]map[string]*ecdsa.PublicKey{}}
	k.known.Store(&known{})
	return k, nil
}

// find returns the key called kid. For one that is not known it asks, at most once
// in a while.
func (k *keySet) find(kid string) (*ecdsa.PublicKey, error) {
	have := k.known.Load()
	key := have.keys[kid]
	if key != nil && k.now().Sub(have.asked) < keysFresh {
		return key, nil
	}
	if !k.asking.TryLock() {
		if key != nil {
			return key, nil // somebody is asking whether that is so still
		}
		k.asking.Lock()
	}
	have = k.ask(have)
	k.asking.Unlock()
	if key := have.keys[kid]; key != nil {
		return key, nil
	}
	if have.err != nil {
		return nil, fmt.Errorf("key %q is not known, and not all that may have it answer: %w", kid, have.err)
	}
	return nil, fmt.Errorf("key %q is not known", kid)
}

// ask asks all sources, unless that was done a moment ago, or while this request
// waited for its turn. k.asking is held.
func (k *keySet) ask(have *known) *known {
	if now := k.known.Load(); now != have || !now.asked.IsZero() && k.now().Sub(now.asked) < keysPause {
		return now
	}
	answers := make([]map[string]*ecdsa.PublicKey, len(k.sources))
	faults := make([]error, len(k.sources))
	var all sync.WaitGroup
	for i, s := range k.sources {
		all.Go(func() {
			data, err := k.read(s)
			if err == nil {
				answers[i], err = publicKeys(data)
			}
			if err != nil {
				faults[i] = fmt.Errorf("%s: %w", s, err)
			}
		})
	}
	all.Wait()
	next := &known{keys: map[string]*ecdsa.PublicKey{}, asked: k.now(), err: errors.Join(faults...)}
	for i, s := range k.sources {
		if faults[i] == nil {
			k.last[s] = answers[i]
		}
		for kid, key := range k.last[s] {
			next.keys[kid] = key
		}
	}
	k.known.Store(next)
	return next
}

func (k *keySet) read(source string) ([]byte, error) {
	if !strings.Contains(source, "://") {
		f, err := os.Open(source)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return bounded(f)
	}
	// Not under the context of a request: others wait for the same answer.
	resp, err := k.client.Get(source)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", resp.Status)
	}
	return bounded(resp.Body)
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, keysSize+1))
	if err == nil && len(data) > keysSize {
		err = fmt.Errorf("more than %d bytes", keysSize)
	}
	return data, err
}

// publicKeys reads a JWK Set (RFC 7517 section 5). Keys for other purposes are
// passed over.
func publicKeys(data []byte) (map[string]*ecdsa.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("no JWK Set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("no JWK Set: it has no keys")
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil {
			continue // of a kind that is not known here
		}
		public, ok := k.Key.(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() || k.KeyID == "" || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(jose.ES256) {
			continue
		}
		if keys[k.KeyID] != nil {
			return nil, fmt.Errorf("two keys are called %q", k.KeyID)
		}
		keys[k.KeyID] = public
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWK Set has no key for ES256 with a kid")
	}
	return keys, nil
}
