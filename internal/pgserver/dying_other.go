//go:build !linux

package pgserver

import "syscall"

func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
