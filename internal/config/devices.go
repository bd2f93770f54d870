package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Devices is the registry of devices.
type Devices struct {
	// ID says what the ids of devices are.
	ID DeviceID `yaml:"id"`

	// Bootstrap is the id in the certificate that all devices are made with.
	_ later `yaml:"bootstrap" hint:"today a device has its own certificate from the beginning"`

	// Initialize is how a device fetches its certificate.
	_ later `yaml:"initialize" hint:"today the command \"countersign ca\" makes the certificates of devices"`

	// Authority is who issues the certificates of devices.
	_ later `yaml:"authority" hint:"today the command \"countersign ca\" makes the certificates of devices"`
}

// A DeviceID says what the ids of devices are.
type DeviceID struct {
	// Form is how ids look: mac, an EUI-48 in any spelling, kept as
	// AA:BB:CC:DD:EE:FF; or text, up to 128 letters without blanks, kept as they
	// are. It must not change while there are devices. Default text.
	Form string `yaml:"form" one:"mac|text" default:"text"`

	// Pattern takes the id out of a longer text that operators and lists may give,
	// such as the common name of a certificate: its first group, or all that it
	// matches. What it does not match is taken for the id itself.
	Pattern Pattern `yaml:"pattern" want:"a regular expression, such as ^MacID-(.+)$"`

	// From is the field of a certificate that has the id.
	_ later `yaml:"from" hint:"today devices are named by operators, not yet by their certificates"`
}

// A Pattern is a regular expression as Go's package regexp reads it (RE2).
type Pattern string

// UnmarshalText compiles it.
func (p *Pattern) UnmarshalText(text []byte) error {
	re, err := regexp.Compile(string(text))
	if err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if re.NumSubexp() > 1 {
		return errors.New("it has more than one group: write the others as (?:...)")
	}
	*p = Pattern(text)
	return nil
}

// Regexp returns it compiled; nil for none.
func (p Pattern) Regexp() *regexp.Regexp {
	if p == "" {
		return nil
	}
	return regexp.MustCompile(string(p))
}

// storeWord is a store in data_dir.
const storeWord = "sqlite"

// InFile reports whether the store is SQLite's, in data_dir.
func (n *Node) InFile() bool { return n.Store == storeWord }

// StoreURL returns the URL of the PostgreSQL database; what file:PATH names is
// read now.
func (n *Node) StoreURL() (string, error) {
	path, isFile := strings.CutPrefix(n.Store, "file:")
	if !isFile {
		return n.Store, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if !isPostgres(text) {
		return "", fmt.Errorf("%s has no postgres:// URL in it", path)
	}
	return text, nil
}

func isPostgres(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// store knows where nodes keep what they share.
func (r *rules) store(s string) (clean, hint string, ok bool) {
	path, isFile := strings.CutPrefix(s, "file:")
	switch {
	case s == storeWord, isPostgres(s):
		return s, "", true
	case isFile && path != "":
		return "file:" + r.resolve(path), "", true
	case strings.HasSuffix(s, ".db"):
		return "", "the file of sqlite is devices.db in node.data_dir", false
	}
	return "", "", false
}

func (c *checker) devices() {
	if c.Devices == nil {
		return
	}
	if c.Node.DataDir == "" && !c.doc.Refused("node.data_dir") && c.Node.InFile() {
		c.fault("node.data_dir", "nothing", "a directory", "devices are kept there, unless node.store names a PostgreSQL database")
	}
}
