package trust

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/durable"
)

// A candidate is two files in DATA_DIR/staged: NAME.candidate has the content,
// NAME.json what is known of it. The second is written last and names the content
// by its SHA-256, so that of two halves that do not belong together none counts.

func place(dataDir, store string) (content, about string) {
	at := filepath.Join(dataDir, "staged", store)
	return at + ".candidate", at + ".json"
}

func keep(dataDir string, c *client.Candidate, content []byte) error {
	at, about := place(dataDir, c.TrustStore)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(at, content, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(about, append(data, '\n'), 0o600)
}

// find returns nil if there is no candidate.
func find(dataDir, store string) (*client.Candidate, []byte, error) {
	at, about := place(dataDir, store)
	data, err := os.ReadFile(about)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	var c client.Candidate
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", about, err)
	}
	content, err := os.ReadFile(at)
	if err != nil {
		return nil, nil, err
	}
	if sum(content) != c.SHA256 || c.TrustStore != store {
		return nil, nil, fmt.Errorf("%s is not what was staged", at)
	}
	return &c, content, nil
}

func kept(dataDir string) ([]client.Candidate, error) {
	entries, err := os.ReadDir(filepath.Join(dataDir, "staged"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []client.Candidate
	for _, e := range entries {
		if store, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasPrefix(store, ".") {
			if c, _, err := find(dataDir, store); err == nil && c != nil {
				all = append(all, *c)
			}
		}
	}
	return all, nil
}

func forget(dataDir, store string) error {
	at, about := place(dataDir, store)
	if err := os.Remove(about); err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(at))
}

// base is the SHA-256 of what a file has; "" for what is fetched, and for a file
// that is not there.
func base(s config.Source) (string, error) {
	if s.Remote() {
		return "", nil
	}
	content, err := os.ReadFile(s.URL)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return sum(content), err
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// isDERList reports whether DER is more like a CertificateList (RFC 5280 section
// 5.1) than like a certificate: the latter's first element begins with a version
// in a tag of its own, or with a serial number that a list has not there.
func isDERList(content []byte) bool {
	var outer, tbs, first, second asn1.RawValue
	if _, err := asn1.Unmarshal(content, &outer); err != nil || outer.Tag != asn1.TagSequence {
		return false
	}
	if _, err := asn1.Unmarshal(outer.Bytes, &tbs); err != nil || tbs.Tag != asn1.TagSequence {
		return false
	}
	rest, err := asn1.Unmarshal(tbs.Bytes, &first)
	if err != nil {
		return false
	}
	if first.Class == asn1.ClassUniversal && first.Tag == asn1.TagInteger { // version 2, or a serial number
		if len(first.Bytes) != 1 || first.Bytes[0] != 1 {
			return false
		}
		if rest, err = asn1.Unmarshal(rest, &second); err != nil {
			return false
		}
		first = second
	}
	var issuer, thisUpdate asn1.RawValue
	if rest, err = asn1.Unmarshal(rest, &issuer); err != nil || first.Tag != asn1.TagSequence {
		return false
	}
	_, err = asn1.Unmarshal(rest, &thisUpdate)
	return err == nil && (thisUpdate.Tag == asn1.TagUTCTime || thisUpdate.Tag == asn1.TagGeneralizedTime)
}
