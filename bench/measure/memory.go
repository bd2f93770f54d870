package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// parsePSS reads the line "Pss: 1234 kB" of the text of smaps_rollup, in bytes.
func parsePSS(text []byte) (int64, error) { return parseField(text, "Pss:") }

// parseField reads a line "NAME: 1234 kB", in bytes.
func parseField(text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		value, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		fields := bytes.Fields(value)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, fmt.Errorf("%q: want a number of kB", line)
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 53)
		return n << 10, err
	}
	return 0, fmt.Errorf("no line %s in %q", name, text)
}

// PSS returns the proportional set size of pids together, in bytes.
func PSS(pids []int) (int64, error) { return sum(pids, "smaps_rollup", "Pss:") }

// Resident returns the resident set size of pids together, in bytes. What they
// share counts for each.
func Resident(pids []int) (int64, error) { return sum(pids, "status", "VmRSS:") }

// Peak returns the most that Resident has been, of each of pids by itself.
func Peak(pids []int) (int64, error) { return sum(pids, "status", "VmHWM:") }

// sum adds up a field of a file of each process.
func sum(pids []int, file, name string) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return 0, err
		}
		n, err := parseField(text, name)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += n
	}
	return sum, nil
}
