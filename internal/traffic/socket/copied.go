package socket

import (
	"fmt"
	"io"
)

// A WriteError is that of a connection which has not taken all of what was read
// for it from the other.
type WriteError struct {
	Err  error
	Lost int // bytes
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("%v; %d bytes are lost on their way", e.Err, e.Lost)
}

// copied is Splice where the kernel does not do it.
func copied(to, from Conn, moved func(n int)) error {
	_, err := io.Copy(told{to, moved}, struct{ io.Reader }{from})
	return err
}

// told tells of what has been written.
type told struct {
	to    Conn
	moved func(n int)
}

func (t told) Write(b []byte) (int, error) {
	n, err := t.to.Write(b)
	if n > 0 {
		t.moved(n)
	}
	if err != nil {
		return n, &WriteError{err, len(b) - n}
	}
	return n, nil
}
