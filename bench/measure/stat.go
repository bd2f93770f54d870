package measure

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: Linux has had USER_HZ = 100
// on every architecture that Go runs on.
const tick = time.Second / 100

// A stat is the part of /proc/PID/stat that is of use here.
type stat struct {
	parent int
	cpu    time.Duration // utime + stime
}

// parseStat reads the text of /proc/PID/stat. The second field is the program's
// name in parentheses, which may itself hold spaces and parentheses; what
// follows the last one is counted.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("no program name in parentheses in %q", text)
	}
	fields := bytes.Fields(text[end+1:]) // from field 3, state, on
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("%d fields after the program name in %q: want at least 13", len(fields), text)
	}
	parent, err1 := strconv.Atoi(string(fields[4-3]))
	user, err2 := strconv.ParseUint(string(fields[14-3]), 10, 63)
	system, err3 := strconv.ParseUint(string(fields[15-3]), 10, 63)
	if err := errors.Join(err1, err2, err3); err != nil {
		return stat{}, err
	}
	return stat{parent: parent, cpu: time.Duration(user+system) * tick}, nil
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// Tree returns pid and the processes that descend from it.
func Tree(pid int) ([]int, error) {
	if _, err := readStat(pid); err != nil {
		return nil, err
	}
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(filepath.Base(e))
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil { // others come and go meanwhile
			children[s.parent] = append(children[s.parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// CPU returns the CPU time that pids have used up to now, all threads together,
// in steps of ten milliseconds a process.
func CPU(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			return 0, err
		}
		sum += s.cpu
	}
	return sum, nil
}

// Exact returns the CPU time that the threads of pids have used up to now, in
// nanoseconds. What threads that have ended used is not in it: for programs that
// keep theirs.
func Exact(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		if len(threads) == 0 {
			return 0, fmt.Errorf("process %d has no /proc/%d/task/*/schedstat: a kernel with CONFIG_SCHED_INFO is needed", pid, pid)
		}
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // it has just ended
			}
			if err != nil {
				return 0, err
			}
			used, err := parseSchedstat(text)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", thread, err)
			}
			sum += used
		}
	}
	return sum, nil
}

// parseSchedstat reads the first of three numbers, the time on a CPU.
func parseSchedstat(text []byte) (time.Duration, error) {
	fields := bytes.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("%d fields in %q: want 3", len(fields), text)
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return time.Duration(n), err
}
