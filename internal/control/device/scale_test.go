package device

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testrequire"
)

// BenchmarkFleet imports a fleet, then lists it and looks into it:
//
//	FLEET=1000000 go test -run - -bench Fleet -benchtime 1x ./internal/control/device
func BenchmarkFleet(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("FLEET"))
	if n == 0 {
		n = 20_000
	}
	for name, open := range map[string]func(b *testing.B) (*store.Store, error){
		"sqlite": func(b *testing.B) (*store.Store, error) {
			return sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "countersign.db")})
		},
		"postgres": func(b *testing.B) (*store.Store, error) {
			return postgres.Open(b.Context(), postgres.Config{URL: testrequire.PostgreSQL(b, "fsync=on", "autovacuum=on", "shared_buffers=256MB", "max_wal_size=4GB")})
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s, err := open(b)
				if err != nil {
					b.Fatal(err)
				}
				fleet(b, New(Config{Store: s, IDs: IDs{Form: FormMAC}}), n)
				s.Close()
			}
		})
	}
}

func mac(i int) string {
	x := uint64(i) * 0x9e3779b97f4a7c15 >> 16 // spread over all addresses, none twice below 2^32
	return fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", byte(x>>40), byte(x>>32), byte(x>>24), byte(x>>16), byte(x>>8), byte(x))
}

type fleetList struct {
	i, n int
	rest []byte
}

func (f *fleetList) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if f.i > f.n {
			return 0, io.EOF
		}
		if f.rest = f.rest[:0]; f.i == 0 {
			f.rest = append(f.rest, "id,state,label.site,label.model\n"...)
		} else {
			state := countersign.States()[f.i%3]
			f.rest = fmt.Appendf(f.rest, "%s,%s,site-%d,model-%d\n", mac(f.i), state, f.i%100, f.i%7)
		}
		f.i++
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func fleet(b *testing.B, r *Registry, n int) {
	var peak atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for t := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-stop:
				t.Stop()
				return
			case <-t.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	}()
	cpu := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	start, used := time.Now(), cpu()
	sum, err := r.Import(b.Context(), ann, &fleetList{n: n}, Import{Format: CSV})
	close(stop)
	<-stopped
	if err != nil || sum.Created != n {
		b.Fatalf("%+v, %v", sum, err)
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/import")
	b.ReportMetric(cpu()-used, "cpu-s/import") // of this process, not of a server
	b.ReportMetric(float64(peak.Load()>>20), "MiB-peak")
	start = time.Now()
	if sum, err = r.Import(b.Context(), ann, &fleetList{n: n}, Import{Format: CSV}); err != nil || sum.Unchanged != n {
		b.Fatalf("%+v, %v", sum, err)
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/again")

	p99 := func(name string, n int, do func(i int) error) {
		took := make([]time.Duration, n)
		for i := range took {
			start := time.Now()
			if err := do(i); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[n*99/100].Microseconds())/1000, "ms-p99/"+name)
	}
	at := func() string {
		return store.Query{}.Next(store.Position{ID: mac(rand.IntN(n) + 1)})
	}
	page := func(q store.Query) func(int) error {
		return func(int) error {
			q.After = at()
			if q.BySeen() {
				q.After = ""
			}
			_, err := r.List(b.Context(), q)
			return err
		}
	}
	active := []countersign.State{countersign.DeviceActive}
	p99("look-up", 2000, func(int) error {
		_, err := r.store.Devices.Device(b.Context(), mac(rand.IntN(n)+1))
		return err
	})
	p99("page", 300, page(store.Query{}))
	p99("page,state", 300, page(store.Query{States: active}))
	p99("page,label", 300, page(store.Query{Labels: map[string]string{"site": "site-7"}}))
	p99("page,label,state", 300, page(store.Query{Labels: map[string]string{"site": "site-7"}, States: active}))
	p99("page,2labels,state", 300, page(store.Query{Labels: map[string]string{"model": "model-3", "site": "site-7"}, States: active}))
	p99("page,unseen,label", 100, page(store.Query{Labels: map[string]string{"site": "site-7"}, SeenBefore: time.Now()}))
	p99("change", 300, func(int) error {
		_, err := r.Do(b.Context(), ann, "retire", mac(rand.IntN(n)+1))
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		return nil
	})
}
