package lists

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/measure"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Spec says what is to be read.
type Spec struct {
	File    string // of revocation lists; the first is that of credentials.WithLongList
	Entries int    // it has
	Lookups int    // to measure
}

// A Result says what that took.
type Result struct {
	CPU      time.Duration `json:"cpu_ns"`
	Kept     int64         `json:"kept_bytes"` // resident, when the garbage is collected and given back
	Peak     int64         `json:"peak_bytes"` // resident
	Listed   time.Duration `json:"listed_ns"`  // a look-up of what is on the list
	Unlisted time.Duration `json:"unlisted_ns"`
}

// Main is the process: it reads a Spec from in, and writes a Result.
func Main(in io.Reader, out io.Writer) error {
	var s Spec
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return err
	}
	var r Result
	var list *crl.List
	if err := r.load(s, &list); err != nil {
		return err
	}
	var err error
	if r.Listed, err = lookups(list, s, true); err != nil {
		return err
	}
	if r.Unlisted, err = lookups(list, s, false); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func (r *Result) load(s Spec, list **crl.List) error {
	self := []int{os.Getpid()}
	f, err := os.Open(s.File)
	if err != nil {
		return err
	}
	defer f.Close()
	debug.FreeOSMemory()
	memory, err := measure.Resident(self)
	if err != nil {
		return err
	}
	cpu, err := measure.CPU(self)
	if err != nil {
		return err
	}
	found, err := new(revocation.Cache).Load(f, 1<<40, crl.Limits{}, nil)
	if err != nil {
		return err
	}
	done, err := measure.CPU(self)
	if err != nil {
		return err
	}
	peak, err := measure.Peak(self)
	if err != nil {
		return err
	}
	*list = found[0]
	if n := (*list).Len(); n <= s.Entries {
		return fmt.Errorf("%s has %d entries: want more than %d", s.File, n, s.Entries)
	}
	debug.FreeOSMemory()
	kept, err := measure.Resident(self)
	if err != nil {
		return err
	}
	r.CPU, r.Kept, r.Peak = done-cpu, kept-memory, peak-memory
	return nil
}

// lookups asks for serial numbers here and there, and returns how long one takes.
func lookups(l *crl.List, s Spec, listed bool) (time.Duration, error) {
	first := 0
	if !listed {
		first = s.Entries
	}
	order := rand.New(rand.NewPCG(1, 2))
	serial := new(big.Int)
	began := time.Now()
	for range s.Lookups {
		octets := credentials.Listed(first + order.IntN(s.Entries))
		if _, found := l.Lookup(serial.SetBytes(octets[:])); found != listed {
			return 0, fmt.Errorf("serial number %X is listed: %t, want %t", octets, found, listed)
		}
	}
	all := time.Since(began)
	began = time.Now()
	for range s.Lookups { // what the loop itself takes
		octets := credentials.Listed(first + order.IntN(s.Entries))
		serial.SetBytes(octets[:])
	}
	all -= time.Since(began)
	runtime.KeepAlive(l)
	return max(all, 0) / time.Duration(s.Lookups), nil
}

// Run has cmd, which is to call Main, do s.
func Run(cmd *exec.Cmd, s Spec) (Result, error) {
	var r Result
	text, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	cmd.Stdin = strings.NewReader(string(text))
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("reading %s in a process of its own: %w", s.File, err)
	}
	return r, json.Unmarshal(out, &r)
}
