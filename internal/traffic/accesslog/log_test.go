package accesslog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, c Config) *Log {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

var aConnection = &Connection{
	Time: time.Unix(1, 0), Client: netip.MustParseAddrPort("203.0.113.1:36280"), Listener: "devices", ListenerPort: 8443,
}

func commit(l *Log, path string) {
	a := l.Begin(aConnection)
	a.Request([]byte("GET"), []byte(path), "HTTP/1.1")
	a.Host([]byte("api.example.com"))
	a.UserAgent([]byte("curl/8.5.0"))
	l.Commit(a)
}

func TestEveryFormat(t *testing.T) {
	for format, want := range map[Format]string{
		"":       "http 20",
		AWS:      "http 20",
		JSON:     `{"event":"access"`,
		Combined: "203.0.113.1 - - [",
	} {
		var out bytes.Buffer
		l := open(t, Config{Path: "-", Format: format, Stdout: &out})
		commit(l, "/")
		l.Connection(aConnection)
		closeLog(t, l)
		lines := strings.Split(out.String(), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], want) {
			t.Errorf("format %q: got %q, want %q first", format, lines, want)
		}
	}
}

func TestOffIsSafe(t *testing.T) {
	var l *Log
	a := l.Begin(aConnection)
	a.Request([]byte("GET"), nil, "HTTP/1.1")
	a.Host(nil)
	a.UserAgent(nil)
	a.Referer(nil)
	a.TraceID(nil)
	a.Redirect(nil)
	a.Transformed(nil, nil)
	a.Target("x", 200)
	l.Commit(a)
	l.Connection(aConnection)
	if l.Reopen() != nil || l.Close(context.Background()) != nil || l.Dropped() != 0 || l.WriteErrors() != 0 || a != nil {
		t.Error("a log that is off did something")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "without a path"},
		{Config{Path: "-", Format: "xml"}, `log format "xml": want aws, json or combined`},
		{Config{Path: "-", Queue: -1}, "queue -1"},
		{Config{Path: filepath.Join(dir, "none", "x.log")}, "no such file or directory"},
		{Config{Path: dir}, "is a directory"},
	} {
		l, err := Open(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || l != nil {
			t.Errorf("%+v: got %v, want %q", c.config, err, c.want)
		}
	}
}

func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, Config{Path: path, Format: JSON})
	var group sync.WaitGroup
	const writers, each = 8, 500
	for range writers {
		group.Go(func() {
			for range each {
				commit(l, "/path")
				l.Connection(aConnection)
			}
		})
	}
	group.Go(func() {
		for range 20 {
			if err := l.Reopen(); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	closeLog(t, l)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for line := range bytes.Lines(b) {
		n++
		m := checkObject(t, line)
		if m["event"] == "access" && (m["path"] != "/path" || m["user_agent"] != "curl/8.5.0") {
			t.Fatalf("a line that nobody wrote: %s", line)
		}
	}
	if total := n + l.Dropped(); total != 2*writers*each {
		t.Errorf("%d lines and %d dropped, want %d in all", n, l.Dropped(), 2*writers*each)
	}
}

// exchange is what the pipeline does for one exchange.
func exchange(l *Log, c *Connection, denial *countersign.Denial) {
	a := l.Begin(c)
	fill(a, denial)
	l.Commit(a)
}

func fill(a *Access, denial *countersign.Denial) {
	a.Request(getMethod, somePath, "HTTP/1.1")
	a.Host(someHost)
	a.UserAgent(someAgent)
	a.TraceID(someTrace)
	a.Created = a.Connection.Time
	a.RequestTime, a.TargetTime, a.ResponseTime = time.Millisecond, time.Millisecond, time.Millisecond
	a.Target("10.0.0.1:80", 200)
	a.TargetGroup, a.Actions, a.Status = "api", "forward", 200
	a.Denial = denial
}

var (
	getMethod = []byte("GET")
	somePath  = []byte("/devices/7/state?since=12345678")
	someHost  = []byte("api.example.com")
	someAgent = []byte("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/135.0")
	someTrace = []byte("Root=1-58337281-1d84f3d73c47ec4e58577259")
)

// The promise to the hot path: nothing is allocated for an exchange, neither by
// the pipeline nor by the owner.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection may empty the pool
	for _, format := range []Format{AWS, JSON, Combined} {
		l := open(t, Config{Path: "-", Format: format, Stdout: io.Discard})
		c := *aConnection
		denial := countersign.Deny(countersign.StageForward, countersign.TargetTimeout, "slow")
		const runs = 2000
		// As many events as the loop below can have under way at once.
		events := make([]*Access, 2*runs)
		for i := range events {
			events[i] = l.Begin(&c)
			fill(events[i], denial)
		}
		for _, a := range events {
			l.Commit(a)
		}
		for l.spool.Waiting() > 0 {
			runtime.Gosched()
		}
		if got := testing.AllocsPerRun(runs, func() { exchange(l, &c, denial) }); got != 0 {
			t.Errorf("%s: %v allocations per exchange, want 0", format, got)
		}
		closeLog(t, l)
		if l.Dropped() != 0 {
			t.Errorf("%s: %d dropped", format, l.Dropped())
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, format := range []Format{AWS, JSON} {
		b.Run(string(format), func(b *testing.B) {
			l := open(b, Config{Path: "-", Format: format, Stdout: io.Discard})
			c := *aConnection
			b.ReportAllocs()
			for b.Loop() {
				exchange(l, &c, nil)
			}
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

func BenchmarkFormat(b *testing.B) {
	a := newAccess().(*Access)
	a.Connection, a.Time = aConnection, time.Now()
	a.Request(getMethod, somePath, "HTTP/1.1")
	a.Host(someHost)
	a.UserAgent(someAgent)
	a.Target("10.0.0.1:80", 200)
	var buf []byte
	var c clock
	for b.Loop() {
		buf = appendAccessAWS(buf[:0], a, &c)
	}
}

// Where a line is AWS's, or Apache's, there is none that they do not have.
func TestAnExpulsionHasALineInJSONAlone(t *testing.T) {
	for format, want := range map[Format]string{
		AWS: "", Combined: "",
		JSON: `{"event":"expulsion","time":"1970-01-01T00:00:09.000000Z","listener":"devices","listener_port":8443,` +
			`"client_ip":"203.0.113.1","client_port":36280,"connected":"1970-01-01T00:00:01.000000Z",` +
			`"denial_stage":"verify","denial_code":"ClientCertCrlHit","denial_reason":"was revoked"}` + "\n",
	} {
		var out bytes.Buffer
		l := open(t, Config{Path: "-", Format: format, Stdout: &out})
		l.Expulsion(&Expulsion{Connection: aConnection, Time: time.Unix(9, 0),
			Denial: countersign.Deny(countersign.StageVerify, countersign.ClientCertCrlHit, "was revoked")})
		closeLog(t, l)
		if out.String() != want {
			t.Errorf("%s: %q, want %q", format, out.String(), want)
		}
	}
	var off *Log
	off.Expulsion(&Expulsion{})
}
