package pgserver

import "syscall"

// dying makes a process that ends with this one, however that ends.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} }
