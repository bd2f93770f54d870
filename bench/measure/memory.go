package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// parsePSS reads the line "Pss: 1234 kB" of the text of smaps_rollup, in bytes.
func parsePSS(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		value, found := bytes.CutPrefix(line, []byte("Pss:"))
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
	return 0, fmt.Errorf("no line Pss: in %q", text)
}

// PSS returns the proportional set size of pids together, in bytes.
func PSS(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		n, err := parsePSS(text)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += n
	}
	return sum, nil
}
