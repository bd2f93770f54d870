package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"countersign.dev"
)

// Devices is the registry of devices.
type Devices struct {
	// ID says what the ids of devices are.
	ID DeviceID `yaml:"id"`

	// Bootstrap is the id in the certificate that all devices are made with, if
	// there is one. At a listener that enforces devices, it is good for enrolling
	// alone.
	Bootstrap string `yaml:"bootstrap"`

	// Initialize has devices fetch their certificates, at the listeners that have
	// devices: annotate or enforce. Left out: they do not.
	Initialize *Initialize `yaml:"initialize"`

	// Makers have devices put into the registry when they come for the first time, with
	// a certificate that their maker has given them. Left out: an operator provisions
	// every device.
	Makers *Makers `yaml:"makers"`

	// Authority is the name of the authority that issues the certificates of devices.
	// Left out: there are those alone that operators upload.
	Authority string `yaml:"authority"`
}

// Makers are whose certificates have a device registered, by Initialize or EST. The
// trust store of the listener has to accept them as well.
type Makers struct {
	// CABundle has the certificates of the makers' authorities, in PEM. One of them
	// is on the path from the device's certificate to the anchor.
	CABundle []string `yaml:"ca_bundle,required" is:"file"`

	// Claim is what such a device has to show besides: approval by an operator; or
	// none, where its certificate is enough. Default approval.
	Claim string `yaml:"claim" one:"approval|none" default:"approval"`

	// IDs matches the ids of those that are registered, as the registry spells them.
	// Left out: any.
	IDs Pattern `yaml:"ids" want:"a regular expression, such as ^AA:BB:CC:"`

	// Labels of those that are registered, as KEY=VALUE.
	Labels []string `yaml:"labels"`
}

// Initialize is how a device fetches its first certificate, and further ones: POST
// of {"device_id": "...", "csr": "PEM", "claim": "..."}.
type Initialize struct {
	// Path is where, exactly. Default /.well-known/countersign/initialize.
	Path string `yaml:"path" default:"/.well-known/countersign/initialize"`

	// Claim is how a device without a certificate of its own shows that it is the
	// one: secret, which is printed on it; key, which was pinned; approval by an
	// operator; or none, where the first to come is served. An operator may say
	// otherwise of a device. Default secret.
	Claim string `yaml:"claim" one:"none|secret|key|approval" default:"secret"`

	// PerSource is how many attempts a minute one address may make, or one IPv6 /64,
	// by EST as well. Default 120.
	PerSource int `yaml:"per_source" default:"120" range:"1..1000000"`

	// PerDevice is how many attempts a minute may name one device. Default 12.
	PerDevice int `yaml:"per_device" default:"12" range:"1..1000000"`

	// RetryAfter is what a device is told to wait that comes too early. Default 60s.
	RetryAfter time.Duration `yaml:"retry_after" default:"60s" range:"1s..24h"`
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

	// Name is what that field says in the certificates that are issued to devices:
	// {id} stands for the id, as in MacID-{id}. Left out: what pattern matches, if
	// that can be told from it.
	Name string `yaml:"name"`
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
	c.enrollment()
}

// enrollment checks how devices get their certificates.
func (c *checker) enrollment() {
	d := c.Devices
	var issuer *Authority
	for i := range c.Authorities {
		if c.Authorities[i].Name == d.Authority {
			issuer = &c.Authorities[i]
		}
	}
	switch {
	case d.Authority == "":
		if d.Initialize != nil && c.Node.DataDir == "" && !c.doc.Refused("node.data_dir") {
			c.fault("devices.authority", "nothing, and no node.data_dir", "one of the two", "without an authority devices get what operators upload, which is sealed under a key in node.data_dir")
		}
	case issuer == nil:
		c.refer("devices.authority", d.Authority, c.authorities, "authority")
	case d.Initialize == nil && !issuer.EST:
		c.fault("devices.authority", quoted(d.Authority)+", but no way to ask it", "devices.initialize, or est of that authority", "devices: {initialize: {}}")
	}
	if d.Initialize != nil {
		d.Initialize.check(c)
	}
	if d.Makers != nil && d.Authority == "" {
		c.fault("devices.makers", "set without devices.authority", "an authority that issues to the devices", "")
	}
}

func (i *Initialize) check(c *checker) {
	const at = "devices.initialize.path"
	switch p := i.Path; {
	case !ownPath(p):
		c.fault(at, quoted(p), "an absolute path without a trailing slash, escapes or wildcards", "such as /.well-known/countersign/initialize")
	case strings.HasPrefix(p+"/", "/.well-known/est/"):
		c.fault(at, quoted(p), "another path", "below /.well-known/est/ is EST (RFC 7030)")
	}
}

// checkDevices demands what the states of devices rest on.
func (l *Listener) checkDevices(c *checker, path string) {
	at := path + ".devices"
	switch {
	case l.Devices == "off" || c.doc.Refused(at) || c.doc.Refused(path+".protocol"):
		return
	case l.Protocol == "http" || l.Protocol == "tcp":
		c.fault(at, l.Devices+" with protocol "+l.Protocol, "protocol https or tls", "a device is known by its certificate")
		return
	case l.Protocol == "tls" && l.Devices == "annotate":
		c.fault(at, "annotate with protocol tls", "enforce, or off", "bytes have no headers that could tell the target")
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

// Enrollment is how devices get their certificates: as Initialize says, and where
// it is left out, for EST, as an empty one would.
func (d *Devices) Enrollment() Initialize {
	if d.Initialize != nil {
		return *d.Initialize
	}
	return Initialize{Claim: "secret", PerSource: 120, PerDevice: 12, RetryAfter: time.Minute}
}
