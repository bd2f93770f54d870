//go:build !linux

package testrequire

import "syscall"

func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
