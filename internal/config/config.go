package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"countersign.dev/internal/config/strictyaml"
)

// A Config is one configuration file.
//
// In any value ${NAME} is the environment variable NAME, which must be set;
// $${ is a plain ${. Within {} and [] of YAML such a value needs quotes. Where
// several values make sense, one alone and a list of them are both accepted.
// Durations are as Go writes them (300ms, 10s, 5m, 1h30m) or have days (365d), sizes as 16KiB, 1MiB
// or plain bytes.
type Config struct {
	// Node is about the program as a whole.
	Node Node `yaml:"node"`

	// Logs says what is logged, where and how.
	Logs Logs `yaml:"logs"`

	// Listeners are the addresses at which clients connect. At least one.
	Listeners []Listener `yaml:"listeners,required" hint:"without a listener nobody can connect"`

	// TrustStores are the authorities against which clients are verified,
	// referred to by name.
	TrustStores []TrustStore `yaml:"trust_stores"`

	// TargetGroups are the backends, referred to by name.
	TargetGroups []TargetGroup `yaml:"target_groups"`

	// Credentials are what clients can show beside certificates, or in their place,
	// where require names it.
	Credentials []Credential `yaml:"credentials"`

	// Devices is the registry of devices, which operators ask by the management
	// API. Left out: there is none.
	Devices *Devices `yaml:"devices"`

	// Authorities are those whose directories are here: their revocation lists are
	// signed in time, and published at node.revocation.
	Authorities []Authority `yaml:"authorities"`

	name  string // of the file
	files []string
	doc   *strictyaml.Document
}

type (
	// A Fault is one thing that is wrong with the configuration, or worth a
	// warning: where, what was found, what was expected, what to do.
	Fault = strictyaml.Fault
	// Faults are the faults of one file, in its order. Err tells whether they
	// are more than warnings.
	Faults = strictyaml.Faults

	later = strictyaml.Later
)

// Load reads the configuration from the file at path. Paths in it are relative
// to the directory of path. The Config is nil if there is a fault that is more
// than a warning.
func Load(path string) (*Config, Faults) { return usable(Inspect(path)) }

// Inspect is Load for finding more faults: what could be understood of a
// configuration with faults is returned as well. It must not be put into force.
// The Config is nil only if the file cannot be read.
func Inspect(path string) (*Config, Faults) {
	data, err := read(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, Faults{{File: path, Found: fmt.Sprintf("a file that cannot be read (%v)", err), Expected: "a configuration file"}}
	}
	return inspect(path, data, filepath.Dir(path))
}

func usable(c *Config, faults Faults) (*Config, Faults) {
	if faults.Err() != nil {
		return nil, faults
	}
	return c, faults
}

// read returns the file at path, but not much more of it than Parse takes.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxSize+1))
}

// Parse reads the configuration from data. Faults call it name; paths in it are
// relative to dir. The Config is nil if there is a fault that is more than a
// warning.
func Parse(name string, data []byte, dir string) (*Config, Faults) {
	return usable(inspect(name, data, dir))
}

func inspect(name string, data []byte, dir string) (*Config, Faults) {
	c := &Config{name: name}
	r := rules{dir: dir}
	c.doc = strictyaml.Decode(data, c, strictyaml.Options{Name: name, Rules: r.table()})
	c.files = r.files
	(&checker{Config: c}).check()
	return c, c.doc.Faults()
}

// Fault describes a fault found after parsing, in something that the key at
// path names: a file that is not there, a key that is not its certificate's.
// The path is as in listeners[0].certificates[1].key.
func (c *Config) Fault(path, found, expected, hint string) Fault {
	return c.doc.Fault(path, found, expected, hint)
}

// Warn is Fault for what is worth saying, but keeps nobody from using the
// configuration.
func (c *Config) Warn(path, found, expected, hint string) Fault {
	f := c.Fault(path, found, expected, hint)
	f.Warning = true
	return f
}

// Files returns the configuration file and every file that it names to be read,
// each once. Whoever watches them notices every change of what is configured.
func (c *Config) Files() []string {
	files := append([]string{c.name}, c.files...)
	for i := range c.Authorities {
		if a := &c.Authorities[i]; a.RenewAfterExpiry > 0 && a.Dir != "" {
			files = append(files, filepath.Join(a.Dir, "ca.crt")) // which a rollover changes
		}
	}
	slices.Sort(files[1:])
	return slices.Compact(files)
}

// OwnHeaders returns the header names that identity_headers of any listener
// set. A backend behind two listeners trusts them whichever one a request came
// through, so every listener has to remove what clients send under these names.
func (c *Config) OwnHeaders() []string {
	var names []string
	for _, l := range c.Listeners {
		for _, h := range l.IdentityHeaders {
			if h.Set != "" {
				names = append(names, h.Set)
			}
			if h.Token != nil {
				names = append(names, h.Token.Header)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
