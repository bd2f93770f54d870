package peer

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"text/template"

	"countersign.dev/bench/credentials"
)

// A Site is what a server is set up for.
type Site struct {
	Dir         string // for its files; exists
	Listen      string // host:port of clients
	Backend     string // host:port
	Files       credentials.Files
	Log         bool // a line for each request, to Dir/access.log
	Connections int  // of clients that it must be able to hold
	Secure      bool // the backend is reached over TLS, verified, and shown a certificate
	// Stream says that bytes are passed on, and what clients speak: TLS or TCP; "": HTTP.
	Stream string

	Token bool // tells the backend of clients too, for countersign

	Rules int // before the one that takes all requests, for countersign; 0: there are none

	// For countersign with a registry of devices.
	Admin   string // host:port of the management API; "": there is none
	Data    string // directory of what it keeps
	Store   string // as node.store is configured; "": there is no registry
	Enforce bool   // clients are held against the registry
}

// What the clients of a server speak that passes bytes on.
const (
	TLS = "tls"
	TCP = "tcp"
)

// Workers is the number of threads or processes that a server gets: one a core.
func (s Site) Workers() int { return runtime.NumCPU() }

// Sockets is how many connections a server is set up for: the clients' and
// those to the backend, with room to spare.
func (s Site) Sockets() int {
	if s.Stream != "" {
		return s.Clients() + s.Connections // each with its own
	}
	return s.Clients()
}

// Clients is how many of them HAProxy is told of, which counts those alone.
func (s Site) Clients() int { return s.Connections + 1024 }

// Root reports that servers which can give up root's rights must be told not to:
// their files are in a directory of their owner alone.
func (s Site) Root() bool { return os.Geteuid() == 0 }

// A Peer is a server program.
type Peer struct {
	Name string
	// Find returns the path of the program, or an error that says what to install.
	Find func(context.Context, Build) (string, error)
	// Version returns what the program says about itself, in a line.
	Version func(ctx context.Context, program string) (string, error)
	// Arguments are those that run it in the foreground with the configuration file.
	Arguments func(file string) []string
	// Template is the name of the template of its configuration, Stream that of
	// one for passing bytes on.
	Template, Stream string
	// Streams returns an error that says what to install if the program cannot pass
	// bytes on; nil: it can.
	Streams func(ctx context.Context, program string) error
}

// Build says how a program is made that does not come from a package.
type Build struct {
	Module string // directory of countersign's module
	Dir    string // where to put the program
}

// Self is the name of the server that the others are compared with.
const Self = "countersign"

// All lists the servers, the one that is to be judged first.
func All() []Peer { return []Peer{countersign(), nginx(), haproxy()} }

// StreamModule is the file in which Debian has nginx's module for passing bytes
// on; "" where nginx has it built in.
func (s Site) StreamModule() string {
	const file = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

//go:embed *.tmpl
var templates embed.FS

// configure writes the configuration for site and returns its path.
func (p Peer) configure(site Site) (string, error) {
	name := p.Template
	if site.Stream != "" {
		name = p.Stream
	}
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, site); err != nil {
		return "", err
	}
	file := filepath.Join(site.Dir, name[:len(name)-len(".tmpl")])
	return file, os.WriteFile(file, text.Bytes(), 0o600)
}

// Program finds a program where a user has them, or in one of the directories,
// which may be patterns.
func Program(name string, dirs ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range dirs {
		found, err := filepath.Glob(dir + name)
		if err != nil {
			return "", err
		}
		for _, path := range found {
			if path, err := exec.LookPath(path); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// installed finds a program of a Debian package of the same name.
func installed(name string) func(context.Context, Build) (string, error) {
	return func(context.Context, Build) (string, error) {
		path, err := Program(name, "/usr/sbin/", "/usr/local/sbin/") // which may not be on a user's PATH
		if err != nil {
			err = fmt.Errorf("%w; on Debian: apt-get install %s", err, name)
		}
		return path, err
	}
}

// firstLine runs a program and returns the first line that it prints.
func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, line)
	}
	return string(line), nil
}
