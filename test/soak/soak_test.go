package soak

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/test/gateway"
)

// length is how long the soak takes. Half of it is time to settle.
var length = flag.Duration("length", 0, "how long the soak takes; 0: a minute, or 3 seconds with -short")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNothingFailsNorGrowsWhileTheConfigurationChanges(t *testing.T) {
	took := *length
	switch {
	case took > 0:
	case testing.Short():
		took = 3 * time.Second
	default:
		took = time.Minute
	}
	firstSocket(t)
	open := descriptors(t)

	b, g := newBackends(t), gateway.New(t)
	lost := g.Fleet.Client("lost")
	list := func(number int) []byte {
		return testpki.CRLPEM(g.Fleet.CRL(testpki.CRLNumber(int64(number)), testpki.Revoke(lost)))
	}
	g.Write("crl.pem", list(0))
	g.Start(b.config(0))
	l := newLoad(t, g)
	l.start()
	defer l.stop()

	began, half := time.Now(), uint64(0)
	reload := time.NewTicker(min(time.Second, took/6))
	defer reload.Stop()
	reloads := 0
	for time.Since(began) < took && l.healthy() {
		<-reload.C
		reloads++
		if reloads%3 == 0 {
			l.lists.Add(1)
			g.Reload("crl.pem", list(reloads))
		} else {
			g.Reload("countersign.yaml", []byte(b.config(reloads)))
		}
		if half == 0 && time.Since(began) >= took/2 {
			half = l.heap()
		}
	}
	end := l.heap()
	l.stop()
	g.Stop()
	b.stop()

	t.Logf("%d reloads in %v; heap %d KiB at half time, %d KiB at the end; %s", reloads, took, half>>10, end>>10, l)
	if l.healthy() && end > half+half/5+2<<20 {
		t.Errorf("the heap grew from %d KiB at half time to %d KiB at the end", half>>10, end>>10)
	}
	if err := goleak.Find(); err != nil {
		t.Error(err)
	}
	stillOpen(t, open)
}

// firstSocket has opened what is opened with the first connection, and stays.
func firstSocket(t *testing.T) {
	t.Helper()
	ln, err := socket.Listen(t.Context(), "127.0.0.1:0", net.KeepAliveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := socket.Dial(t.Context(), ln.Addr().String(), gateway.Patience, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// descriptors counts the open files of the process by what they are; nil where
// the system does not tell.
func descriptors(t *testing.T) map[string]int {
	t.Helper()
	const dir = "/proc/self/fd/"
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	found := map[string]int{}
	for _, f := range files {
		if name, err := os.Readlink(dir + f.Name()); err == nil { // it was not the one of ReadDir
			kind, _, _ := strings.Cut(name, ":[") // of a socket or a pipe, which has a number
			found[kind]++
		}
	}
	return found
}

// stillOpen fails the test unless the same files are open as before. The far end
// of a connection may close a moment later.
func stillOpen(t *testing.T, before map[string]int) {
	t.Helper()
	more := ""
	for end := time.Now().Add(gateway.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		more = ""
		for kind, n := range descriptors(t) {
			if n > before[kind] {
				more += fmt.Sprintf("\n%s: %d, before %d", kind, n, before[kind])
			}
		}
		if before == nil || more == "" {
			return
		}
	}
	t.Errorf("files are left open:%s", more)
}

// heap is how much is in use while nothing is under way but connections are
// open, in bytes.
func (l *load) heap() uint64 {
	l.work.Lock()
	defer l.work.Unlock()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held at the first is given up
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
