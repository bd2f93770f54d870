//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package pool

// silent cannot look here: a connection that died is found out when it is used.
func silent(int, []byte) bool { return true }
