//go:build !linux

package turns

import (
	"fmt"
	"os"
)

// A cord is what a Bell is rung by: a pipe, of which each byte is an event.
type cord struct{ in, out *os.File }

func newCord() (cord, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return cord{}, fmt.Errorf("make a pipe: %w", err)
	}
	return cord{in, out}, nil
}

// pull has pulled return.
func (c *cord) pull() { c.in.Write([]byte{0}) } // one byte at most is in the pipe: it never blocks

// pulled waits until there may be something to be done; false: it is cut.
func (c *cord) pulled(func(uintptr) bool) bool {
	var heard [1]byte
	_, err := c.out.Read(heard[:])
	return err == nil
}

// cut ends the wait, for good.
func (c *cord) cut() {
	c.in.Close()
	c.out.Close()
}
