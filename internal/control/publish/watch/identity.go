package watch

import (
	"fmt"
	"os"
	"syscall"
)

// identity tells one state of a file from another: the inode for a
// replacement, size and times for a change in place.
func identity(info os.FileInfo) string {
	inode := uint64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprint(inode, info.Size(), info.ModTime().UnixNano(), info.Mode())
}
