package measure

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want stat
	}{
		"plain": {"77 (nginx) S 76 77 77 0 -1 4194304 100 0 0 0 12 34 5 6 20 0 1 0 100 0 0\n",
			stat{parent: 76, cpu: 460 * time.Millisecond}},
		"a name with parentheses and spaces": {"9 (a) b (c) R 1 9 9 0 -1 0 0 0 0 0 100 1 0 0 20 0 1 0 1 0 0\n",
			stat{parent: 1, cpu: 1010 * time.Millisecond}},
	} {
		if got, err := parseStat([]byte(c.text)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "77 nginx S 1", "77 (nginx) S 1 2 3", "7 (x) S y 1 1 0 -1 0 0 0 0 0 12 34 5", "7 (x) S 1 1 1 0 -1 0 0 0 0 0 -12 34 5"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %+v", bad, got)
		}
	}
}

func TestParsePSS(t *testing.T) {
	const text = "00400000-7fff r--p 00000000 00:00 0    [rollup]\nRss:     9000 kB\nPss:             1234 kB\nPss_Dirty:   1 kB\n"
	if got, err := parsePSS([]byte(text)); err != nil || got != 1234<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Pss: 1 MB\n", "Pss: x kB\n", "Pss:\n"} {
		if got, err := parsePSS([]byte(bad)); err == nil {
			t.Errorf("parsePSS(%q) = %d", bad, got)
		}
	}
}

func needProc(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("needs Linux's /proc")
	}
}

func TestATreeHasItsDescendants(t *testing.T) {
	needProc(t)
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "MEASURE_WAITS=1")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	pids, err := Tree(os.Getpid())
	if err != nil || pids[0] != os.Getpid() || !slices.Contains(pids, child.Process.Pid) {
		t.Errorf("Tree = %v, %v; want %d and %d in it", pids, err, os.Getpid(), child.Process.Pid)
	}
	if _, err := Tree(1 << 30); err == nil {
		t.Error("a process that is not there has a tree")
	}
}

func TestWhatThisProcessUses(t *testing.T) {
	needProc(t)
	self := []int{os.Getpid()}
	before, err := CPU(self)
	if err != nil {
		t.Fatal(err)
	}
	for x := 0; ; x++ { // until a tick of it has been accounted for
		now, err := CPU(self)
		if err != nil {
			t.Fatal(err)
		}
		if now > before {
			break
		}
	}
	if pss, err := PSS(self); err != nil || pss < 100<<10 {
		t.Errorf("PSS = %d, %v", pss, err)
	}
}

// TestMain lets this binary be the child that waits.
func TestMain(m *testing.M) {
	if os.Getenv("MEASURE_WAITS") != "" {
		os.Stdin.Read(make([]byte, 1))
		return
	}
	os.Exit(m.Run())
}

func TestExactTimeOfThreads(t *testing.T) {
	if got, err := parseSchedstat([]byte("132298 13486 2\n")); err != nil || got != 132298 {
		t.Errorf("%d, %v, want 132298 ns", got, err)
	}
	for _, bad := range []string{"", "1 2", "x 1 2"} {
		if got, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
	self := []int{os.Getpid()}
	before, err := Exact(self)
	if err != nil {
		t.Skip(err)
	}
	for began, sum := time.Now(), 0; time.Since(began) < 20*time.Millisecond; sum++ {
	}
	after, err := Exact(self)
	if err != nil || after <= before {
		t.Errorf("%v of CPU time, %v a while before; %v", after, before, err)
	}
}

func TestSyncsLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if n, err := Syncs(dir, time.Millisecond); err != nil || n <= 0 {
		t.Errorf("%v, %v", n, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
