package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// wait is how long a test waits for what must happen before it fails.
const wait = 20 * time.Second

// A served gateway is one that runs on a configuration in a directory of its own.
type served struct {
	t       *testing.T
	file    string
	backend *httptest.Server
	log     *lockedBuffer
	g       *gateway
	end     context.CancelFunc
	ended   chan error
}

const gatewayConfigText = `node: {admin: "ADMIN", shutdown_timeout: 20s}
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, default: {forward: app}}
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

// serveConfig starts a gateway whose admin address is any free one.
func serveConfig(t *testing.T, text string, handle nethttp.HandlerFunc) *served {
	t.Helper()
	s := &served{t: t, file: filepath.Join(t.TempDir(), "countersign.yaml"), backend: httptest.NewServer(handle), log: new(lockedBuffer), ended: make(chan error, 1)}
	// What a test leaves running is seen once all else has been cleaned up.
	t.Cleanup(func() { s.backend.Close(); goleak.VerifyNone(t) })
	s.write(text)
	var err error
	if s.g, err = newGateway(gatewayConfig{File: s.file, Out: io.Discard, Err: s.log, Quiet: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.g.start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, s.g.stop()))
	}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	go func() { s.ended <- s.g.run(ctx) }()
	t.Cleanup(func() { end(); s.over() })
	return s
}

func (s *served) write(text string) {
	s.t.Helper()
	text = strings.NewReplacer("BACKEND", s.backend.Listener.Addr().String(), "ADMIN", "127.0.0.1:0").Replace(text)
	if err := errors.Join(os.WriteFile(s.file+".new", []byte(text), 0o600), os.Rename(s.file+".new", s.file)); err != nil {
		s.t.Fatal(err)
	}
}

// over waits until the gateway has stopped; once is enough.
func (s *served) over() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("the gateway ends with %v", err)
		}
		close(s.ended)
	case <-time.After(wait):
		s.t.Fatal("the gateway does not stop")
	}
}

// said waits for the nth line of the program log in which form matches, and
// returns its first group.
func (s *served) said(form string, nth int) string {
	s.t.Helper()
	find := regexp.MustCompile(form)
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if found := find.FindAllStringSubmatch(s.log.String(), -1); len(found) >= nth {
			return found[nth-1][len(found[nth-1])-1]
		}
	}
	s.t.Fatalf("the log does not say %q %d times:\n%s", form, nth, s.log)
	return ""
}

const operators = `listening for operators.* bound=(\S+)`

// ask makes one request on a connection of its own; 0 is no answer.
func ask(address, path string) (status int, body string) {
	client := nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}, Timeout: wait}
	res, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func (s *served) answers(address, path string, want int) {
	s.t.Helper()
	if status, body := ask(address, path); status != want {
		s.t.Errorf("%s%s: %d %s, want %d", address, path, status, body, want)
	}
}

func ok(w nethttp.ResponseWriter, _ *nethttp.Request) { io.WriteString(w, "ok") }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAGatewayStartsServesAndStops(t *testing.T) {
	s := serveConfig(t, gatewayConfigText, ok)
	address, admin := s.said(`msg=listening.* bound=(\S+)`, 1), s.said(operators, 1)
	s.answers(address, "/", 200)
	s.answers(admin, "/healthz", 200)
	s.answers(admin, "/readyz", 200)
	if _, text := ask(admin, "/metrics"); !strings.Contains(text, `countersign_config_reloads_total{result="success"} 1`) {
		t.Errorf("the metrics lack the start:\n%s", text)
	}
	s.end()
	s.said("msg=stopped", 1)
	s.answers(address, "/", 0)
	s.answers(admin, "/healthz", 0)
}

func TestTheAdminAddressMovesAtAReload(t *testing.T) {
	s := serveConfig(t, gatewayConfigText, ok)
	first := s.said(operators, 1)

	s.write(strings.ReplaceAll(gatewayConfigText, "ADMIN", "127.0.0.2:0"))
	second := s.said(operators, 2)
	s.said("configuration in force", 1)
	s.answers(second, "/healthz", 200)
	s.answers(first, "/healthz", 0)

	s.write(strings.ReplaceAll(gatewayConfigText, `"ADMIN"`, "off"))
	s.said("configuration in force", 2)
	s.answers(second, "/healthz", 0)
}

// Somebody else has the new admin address: nothing of the change comes into force.
func TestAnAdminAddressInUseRefusesTheWholeReload(t *testing.T) {
	s := serveConfig(t, gatewayConfigText, ok)
	address, admin := s.said(`msg=listening.* bound=(\S+)`, 1), s.said(operators, 1)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	change := strings.NewReplacer("ADMIN", busy.Addr().String(), `address: "127.0.0.1:0"`, `address: "127.0.0.2:0"`)
	s.write(change.Replace(gatewayConfigText))
	s.said("configuration refused", 1)
	s.said("node.admin.address: found "+regexp.QuoteMeta(busy.Addr().String()), 1)
	s.answers(admin, "/healthz", 200)
	s.answers(address, "/", 200)
	if n := len(s.g.node.Addresses()); n != 1 {
		t.Errorf("it listens at %v", s.g.node.Addresses())
	}
}

func TestTheLevelOfTheProgramLogFollowsTheConfiguration(t *testing.T) {
	s := serveConfig(t, gatewayConfigText, ok)
	s.write("logs: {program: {level: error}}\n" + gatewayConfigText)
	// At the level error nothing in the log says that it is in force.
	for end := time.Now().Add(wait); s.g.logger.Enabled(t.Context(), slog.LevelWarn) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if s.g.logger.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("warnings are still logged")
	}
}

// A node that cannot hold what its configuration says is warned of, once a start.
func TestConnectionsThatNeedMoreFilesThanMayBeOpenAreWarnedOf(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	less := syscall.Rlimit{Cur: min(was.Cur, 1024), Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	allow := func(connections string) string {
		return strings.Replace(gatewayConfigText, "node: {", "node: {max_connections: "+connections+", ", 1)
	}
	const warned = `level=WARN msg="fewer files may be open than node.max_connections needs.* max_connections=(\d+)`
	s := serveConfig(t, allow("5000"), ok)
	if n := s.said(warned, 1); n != "5000" {
		t.Errorf("the warning is of %s connections", n)
	}
	s.write(allow("4000"))
	s.said("configuration in force", 1)
	s.write(allow("6000"))
	s.said("configuration in force", 2)
	if n := s.said(warned, 2); n != "6000" || strings.Count(s.log.String(), "fewer files may be open") != 2 {
		t.Errorf("want warnings of 5000 and 6000:\n%s", s.log)
	}
}

// What only a start can change is not passed over in silence.
func TestAFormatThatIsChangedAtAReloadIsWarnedOf(t *testing.T) {
	s := serveConfig(t, gatewayConfigText, ok)
	s.write("logs: {program: {format: json}}\n" + gatewayConfigText)
	s.said("logs.program.format takes effect when the program starts anew.* configured=json", 1)
}

func TestAStopWaitsForTheExchangeUnderWay(t *testing.T) {
	asked, let := make(chan struct{}), make(chan struct{})
	s := serveConfig(t, gatewayConfigText, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		close(asked)
		<-let
		io.WriteString(w, "late")
	})
	address, admin := s.said(`msg=listening.* bound=(\S+)`, 1), s.said(operators, 1)
	got := make(chan string, 1)
	go func() {
		status, body := ask(address, "/")
		got <- fmt.Sprint(status, " ", body)
	}()
	<-asked
	s.end()
	for !s.g.node.Draining() {
		time.Sleep(time.Millisecond)
	}
	s.answers(admin, "/readyz", 503) // whoever sends clients here learns of it
	s.answers(address, "/", 0)
	close(let)
	if answer := <-got; answer != "200 late" {
		t.Errorf("the exchange ended with %s", answer)
	}
}

func TestAStopThatTakesTooLongCuts(t *testing.T) {
	asked := make(chan struct{})
	s := serveConfig(t, strings.Replace(gatewayConfigText, "20s", "10ms", 1), func(_ nethttp.ResponseWriter, q *nethttp.Request) {
		close(asked)
		<-q.Context().Done()
	})
	address := s.said(`msg=listening.* bound=(\S+)`, 1)
	got := make(chan int, 1)
	go func() { status, _ := ask(address, "/"); got <- status }()
	<-asked
	s.end()
	s.said("connections were cut that did not finish in time.*connections=1 ", 1)
	// The refusal races with the end of the socket that it is written to.
	if status := <-got; status != 0 && status != nethttp.StatusServiceUnavailable {
		t.Errorf("a cut exchange is answered %d; want no answer, or 503", status)
	}
}

// A fault at the start: every one is printed, nothing is opened, nothing stays.
func TestAGatewayWithFaultsDoesNotStart(t *testing.T) {
	defer goleak.VerifyNone(t)
	file := filepath.Join(t.TempDir(), "countersign.yaml")
	text := strings.NewReplacer("ADMIN", "127.0.0.1:0", "protocol: http,", "protocol: http, limits: {body: lots},", `["BACKEND"]`, "[]").Replace(gatewayConfigText)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs lockedBuffer
	if status := run(t.Context(), []string{"serve", "-c", file}, stdio{strings.NewReader(""), &out, &errs}); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	for _, want := range []string{"listeners[0].limits.body", "target_groups[0].targets", "nothing was started"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not said:\n%s", want, errs.String())
		}
	}
	if strings.Contains(errs.String(), "listening") {
		t.Errorf("something listened:\n%s", errs.String())
	}
}
