package memoryreturn

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOnlyWhatIsAsInTheFileIsGivenBack(t *testing.T) {
	one := func(head, anonymous string) string {
		return head + "\nSize: 8 kB\nRss: 8 kB\nAnonymous: " + anonymous + " kB\nVmFlags: rd ex mr mw me\n"
	}
	smaps := one("00400000-01090000 r-xp 00000000 fe:00 10364243                           /opt/my gateway", "0") +
		one("01090000-01d84000 r--p 00c90000 fe:00 10364243                           /opt/my gateway", "4") + // a breakpoint
		one("01d84000-01e3e000 rw-p 01984000 fe:00 10364243                           /opt/my gateway", "0") +
		one("7f057c4c0000-7f057c750000 r--p 00000000 fe:00 77                         /opt/another", "0") +
		one("7f057c750000-7f057c760000 r--p 00000000 00:00 0", "0") +
		one("7f057c760000-7f057c770000 r--p 01e00000 fe:00 10364243                   /opt/my gateway", "0")
	want := []mapping{{0x400000, 0x1090000}, {0x7f057c760000, 0x7f057c770000}}
	if got := untouched(strings.NewReader(smaps), "/opt/my gateway"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestTheProgramsFileIsGivenBack(t *testing.T) {
	before := ofFile(t)
	returnImage()
	if after := ofFile(t); after >= before {
		t.Errorf("%d KiB of files in memory, %d before", after, before)
	}
}

// ofFile is how many KiB of files the process has in memory (proc_pid_status(5)).
func ofFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n := 0
			for _, c := range strings.TrimSpace(rest) {
				if c < '0' || c > '9' {
					break
				}
				n = n*10 + int(c-'0')
			}
			return n
		}
	}
	t.Fatal("no RssFile")
	return 0
}
