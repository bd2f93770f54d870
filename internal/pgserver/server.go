package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Config says which programs run, and how.
type Config struct {
	Initdb, Postgres string   // paths of the programs
	Settings         []string // as for -c of postgres: fsync=on
}

// A Server is one that runs.
type Server struct {
	// Dir has the socket, which is called .s.PGSQL.5432.
	Dir string

	cmd   *exec.Cmd
	log   bytes.Buffer // to be read once it has ended
	ended chan struct{}
}

// Start makes an empty database, and returns when it takes connections.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	s := &Server{ended: make(chan struct{})}
	// A socket's path has at most 107 bytes, which a test's own directory may exceed.
	if s.Dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	attributes, err := other(s.Dir)
	if err != nil {
		return nil, err
	}
	prepare := exec.CommandContext(ctx, cfg.Initdb, "-D", s.data(), "-A", "trust", "-U", "countersign", "-E", "UTF8", "--no-locale", "--no-sync")
	prepare.SysProcAttr, prepare.Dir = attributes, s.Dir
	if out, err := prepare.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-D", s.data(), "-k", s.Dir, "-c", "listen_addresses="}
	for _, setting := range cfg.Settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(cfg.Postgres, args...)
	cmd.SysProcAttr, cmd.Dir = attributes, s.Dir
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.cmd = cmd
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(s.ended)
	}()
	return s, s.ready(ctx)
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// ready waits. The server creates the socket early; its file with the process's
// state says when it takes connections: the last line of postmaster.pid is "ready".
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		state, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		if bytes.HasSuffix(bytes.TrimSpace(state), []byte("ready")) {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("postgres ended:\n%s", s.log.String())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not get ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is that of its database.
func (s *Server) URL() string { return URL(s.Dir) }

// URL is that of the database behind the socket in a directory.
func URL(dir string) string {
	u := url.URL{Scheme: "postgres", User: url.User("countersign"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return u.String()
}

// PID is that of the process of which all others of the server are children.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends it, and removes what it has kept.
func (s *Server) Stop() error {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown; it may have ended already
		<-s.ended
	}
	return os.RemoveAll(s.Dir)
}

// other says under which user PostgreSQL runs: it refuses to as root.
func other(dir string) (*syscall.SysProcAttr, error) {
	attributes := dying()
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user nobody: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}
