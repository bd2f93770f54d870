package ledger

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// A disk that is full after any number of bytes: what somebody was told is on
// record for everybody, what was there stays, and with room again all goes on.
func TestAFullDisk(t *testing.T) {
	if os.Getenv("COUNTERSIGN_TEST_FULL") == "" {
		// Alone in a process: the limit is for all that it writes.
		c := exec.Command(os.Args[0], "-test.run=^TestAFullDisk$")
		c.Env = append(os.Environ(), "COUNTERSIGN_TEST_FULL=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := func(size uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(was.Cur)
	refused := 0
	for room := uint64(0); ; room += 3 {
		l, path := create(t)
		other, err := open(path) // as another process has it open
		if err != nil {
			t.Fatal(err)
		}
		add(t, l, issued("01"))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size := uint64(info.Size())
		if room > 2*size { // two lines have room
			break
		}
		limit(size + room)
		var wg sync.WaitGroup
		outcomes := make([]error, 2)
		for n, serial := range []string{"02", "03"} {
			wg.Go(func() { outcomes[n] = l.Append(t.Context(), issued(serial)) })
		}
		wg.Wait()
		limit(was.Cur)
		for n, serial := range []string{"02", "03"} {
			for _, l := range []*File{l, other} {
				_, known, err := l.Find(t.Context(), serial)
				if err != nil || !known && outcomes[n] == nil {
					t.Fatalf("room for %d bytes: %s is on record: %t, %v; its caller was told %v", room, serial, known, err, outcomes[n])
				}
			}
			if outcomes[n] != nil {
				refused++
			}
		}
		add(t, other, issued("04"))
		if _, known, err := l.Find(t.Context(), "04"); !known || err != nil {
			t.Fatalf("room for %d bytes: with room again, 04 is on record: %t, %v", room, known, err)
		}
		if _, err := open(path); err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("there was room for everything")
	}
}
