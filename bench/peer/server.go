package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"countersign.dev/bench/measure"
)

// A Server is a peer that runs.
type Server struct {
	Site Site
	PIDs []int // of all its processes

	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
}

const (
	startsWithin = 20 * time.Second
	stopsWithin  = 10 * time.Second
)

// Start runs program set up for site, and returns when it serves verified clients.
func (p Peer) Start(ctx context.Context, program string, site Site) (*Server, error) {
	file, err := p.configure(site)
	if err != nil {
		return nil, err
	}
	s := &Server{Site: site, name: p.Name, ended: make(chan struct{})}
	s.cmd = exec.Command(program, p.Arguments(file)...)
	s.cmd.Dir = site.Dir
	out, err := s.append("access.log") // HAProxy's lines; the others open the file themselves
	if err != nil {
		return nil, err
	}
	defer out.Close()
	errs, err := s.append("error.log")
	if err != nil {
		return nil, err
	}
	defer errs.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, errs
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait() // how it ended is told by error.log
		close(s.ended)
	}()
	if err = s.serves(ctx); err == nil {
		s.PIDs, err = measure.Tree(s.cmd.Process.Pid)
	}
	if err != nil {
		return nil, errors.Join(s.explained(err), s.Stop())
	}
	return s, nil
}

func (s *Server) append(file string) (*os.File, error) {
	return os.OpenFile(filepath.Join(s.Site.Dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// serves waits for the first request to succeed.
func (s *Server) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	c, err := newCaller(s.Site, s.Site.Files.Clients[0], false)
	if err != nil {
		return err
	}
	for {
		_, err := c.get(ctx, "/")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", s.name, err)
		case <-s.ended:
			return fmt.Errorf("%s ended", s.name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// explained adds the end of what the server said to an error.
func (s *Server) explained(err error) error {
	text, readErr := os.ReadFile(filepath.Join(s.Site.Dir, "error.log"))
	if text = bytes.TrimSpace(text); readErr != nil || len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w; it said:\n%s", err, text[max(0, len(text)-2000):])
}

// Stop ends the server and waits until it has ended.
func (s *Server) Stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM) // an error says that it has ended already
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopsWithin):
	}
	// Those below first: without its master nginx would leave workers behind.
	pids, err := measure.Tree(s.cmd.Process.Pid)
	for i := len(pids) - 1; i >= 0; i-- {
		syscall.Kill(pids[i], syscall.SIGKILL)
	}
	<-s.ended
	return errors.Join(fmt.Errorf("%s had to be killed: it did not end within %s", s.name, stopsWithin), err)
}

// FreePort returns an address of the loopback interface that nobody listens on.
func FreePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
