package testport_test

import (
	"net"
	"runtime"
	"testing"

	"countersign.dev/internal/testport"
)

func TestWhoNamesAKeptPortListensThereAgainAndAgain(t *testing.T) {
	address := testport.For(t)
	_, port, _ := net.SplitHostPort(address)
	for _, name := range []string{address, address, ":" + port, "localhost:" + port} {
		l, err := net.Listen("tcp", name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Errorf("listening at %s: %v", name, err)
		} else {
			c.Close()
		}
		l.Close()
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("somebody listens at a port that is kept")
	}
}

// The kernel has 14,000 ports to give to who listens. Of 500 that are kept and 500
// that are asked for, some would be the same.
func TestNobodyElseIsGivenAKeptPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux keeps ports")
	}
	const many = 500
	kept := map[string]bool{}
	for range many {
		kept[testport.For(t)] = true
	}
	for range many {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if kept[l.Addr().String()] {
			t.Fatalf("%s was given to somebody else", l.Addr())
		}
	}
}
