package memoryreturn

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// returnImage takes the pages of the program's own file out of the process. The
// kernel has mapped some 18 MiB of them by the time a gateway runs, most of it
// because it maps 64 KiB around whatever is touched. They stay in the page cache,
// and those that are used come back without a read.
func returnImage() {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range untouched(f, exe) {
		// Nothing of it was ever written to, so that it is read from the file again.
		// unix.Madvise wants a slice, which these addresses must not become.
		unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// A mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// untouched finds in smaps (proc_pid_smaps(5)) the mappings of the file exe that may
// not be written to and of which no page is the process's own: with relocations,
// or the breakpoints of a debugger, what is in memory is not what is in the file.
func untouched(smaps io.Reader, exe string) (found []mapping) {
	var at mapping // the present one, if it is of exe and read-only
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Text()
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 6 && !strings.HasSuffix(fields[0], ":"):
			at = mapping{}
			if from, to, ok := strings.Cut(fields[0], "-"); ok && strings.HasSuffix(line, " "+exe) && !strings.Contains(fields[1], "w") {
				at.from, at.to = address(from), address(to)
			}
		case len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" && at.from < at.to:
			found = append(found, at)
			at = mapping{}
		}
	}
	if lines.Err() != nil {
		return nil
	}
	return found
}

// address reads one of smaps, 0 if it is none.
func address(s string) uintptr {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0
	}
	return uintptr(n)
}
