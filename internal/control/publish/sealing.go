package publish

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/traffic/forward/sticky"
)

// sealingFile is where a node keeps the keys of the cookies that keep clients at
// targets, in its data_dir.
const sealingFile = "stickiness.keys"

// parseSealing reads keys, one a line in base64.
func parseSealing(data []byte) (*sticky.Keys, error) {
	var secrets [][]byte
	err := eachKey(data, func(line string) error {
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return errors.New("is not base64")
		}
		secrets = append(secrets, secret)
		return sizedKey(secret, sticky.KeySize)
	})
	if err != nil {
		return nil, err
	}
	return sticky.NewKeys(secrets...)
}

// seal gives the cookies of draft their keys: those of the file that its
// configuration names, of data_dir, or of this process.
func (p *Publisher) seal(draft *Draft) error {
	if draft.sealing == nil && draft.seals() {
		keys, err := p.sealing(draft.Config)
		if err != nil {
			return err
		}
		draft.sealing = keys
	}
	for _, g := range draft.Groups {
		if g.Stickiness != nil && g.Stickiness.Cookie != nil {
			g.Stickiness.Cookie.Keys = draft.sealing
		}
	}
	for _, r := range draft.routes {
		for _, c := range r.cookies() {
			c.Keys = draft.sealing
		}
	}
	return nil
}

// seals reports whether there is anything to seal.
func (d *Draft) seals() bool {
	for _, g := range d.Groups {
		if g.Stickiness != nil && g.Stickiness.Cookie != nil {
			return true
		}
	}
	return slices.ContainsFunc(d.routes, func(r *routes) bool { return len(r.cookies()) > 0 })
}

func (p *Publisher) sealing(cfg *config.Config) (*sticky.Keys, error) {
	if cfg.Node.DataDir == "" {
		if p.sealed == nil {
			keys, err := sticky.NewKeys(newSecret())
			if err != nil {
				return nil, err
			}
			p.sealed = keys
		}
		return p.sealed, nil
	}
	if err := os.MkdirAll(cfg.Node.DataDir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.Node.DataDir, sealingFile)
	line := append(base64.StdEncoding.AppendEncode(nil, newSecret()), '\n')
	// Of two nodes that come at the same time, one makes it.
	if err := durable.CreateFile(path, line, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := parseSealing(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the file to have a new key made: clients get new cookies then", path, err)
	}
	return keys, nil
}

func newSecret() []byte {
	secret := make([]byte, sticky.KeySize)
	rand.Read(secret) // never fails
	return secret
}
