package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"countersign.dev"
)

// Devices is the registry of devices.
type Devices struct {
	// ID says what the ids of devices are.
	ID DeviceID `yaml:"id"`

	// Bootstrap is the id in the certificate that all devices are made with, if
	// there is one. At a listener that enforces devices, it is refused whatever it
	// asks for.
	Bootstrap string `yaml:"bootstrap"`

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
	// matches. What it does not match is taken for the id itself; in a certificate
	// it is no device's.
	Pattern Pattern `yaml:"pattern" want:"a regular expression, such as ^MacID-(.+)$"`

	// From is the field of a certificate that has the id: subject_cn, san_dns or
	// san_uri. Of several values of the field those count that pattern matches; a
	// certificate that names two devices is nobody's. Default subject_cn.
	From string `yaml:"from" one:"subject_cn|san_dns|san_uri" default:"subject_cn"`
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

// checkDevices demands what the states of devices rest on.
func (l *Listener) checkDevices(c *checker, path string) {
	at := path + ".devices"
	switch {
	case l.Devices == "off" || c.doc.Refused(at) || c.doc.Refused(path+".protocol"):
		return
	case l.Protocol == "http":
		c.fault(at, l.Devices+" with protocol http", "protocol https", "a device is known by its certificate")
		return
	case c.Devices == nil:
		c.fault(at, l.Devices, "the section devices", "devices: {} has them kept in node.data_dir, with the common name as the id")
	}
	verifies := func(a *ClientAuth, path string) {
		if a.Mode != countersign.ClientAuthOptional && a.Mode != countersign.ClientAuthVerify && !c.doc.Refused(path+".mode") {
			c.fault(path+".mode", string(a.Mode)+" with devices: "+l.Devices, "optional or verify", "whoever is not verified could name any device")
		}
	}
	verifies(&l.ClientAuth, path+".client_auth")
	for i := range l.ServerNames {
		verifies(&l.ServerNames[i].ClientAuth, fmt.Sprintf("%s.server_names[%d].client_auth", path, i))
	}
}
