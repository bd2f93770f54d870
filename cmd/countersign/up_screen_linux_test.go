package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal of 80 columns breaks lines in the middle of words if we do not.
func TestTheScreenFitsTheTerminal(t *testing.T) {
	controller, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	defer controller.Close()
	if err := unix.IoctlSetPointerInt(int(controller.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(controller.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	s := &screen{out: terminal}
	s.row("the operator sees", "%s", strings.Repeat("words ", 40))
	s.row("end", "")
	lines := 0
	for in := bufio.NewScanner(controller); in.Scan(); lines++ {
		line := strings.TrimSuffix(in.Text(), "\r")
		if len(line) > 80 {
			t.Errorf("%d columns: %q", len(line), line)
		}
		if strings.Contains(line, "end") {
			break
		}
	}
	if lines < 4 {
		t.Errorf("%d lines", lines)
	}
}
