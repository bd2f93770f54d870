package testrequire

import "syscall"

// dying makes a process that ends with the test, however the test ends.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} }
