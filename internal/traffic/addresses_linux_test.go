package traffic_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// dialed reports whether somebody listens at address.
func dialed(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// Who restricts a listener from every address to one, or lets it out again, need
// not start the program anew: the old socket is not in the way of the new one.
func TestAListenerMovesFromAllAddressesToOneAndBack(t *testing.T) {
	r := start(t, httpConfig)
	_, port, err := net.SplitHostPort(r.address("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		address   string
		elsewhere bool // 127.0.0.2 is listened on
	}{
		{":" + port, true},
		{"127.0.0.1:" + port, false},
		{"0.0.0.0:" + port, true},
		{":" + port, true},
	} {
		r.publish(with(httpConfig, `"127.0.0.1:0"`, strconv.Quote(step.address)))
		if len(r.node.Addresses()) != 1 {
			t.Fatalf("it listens at %v", r.node.Addresses())
		}
		r.plain(step.address).get().served(t)
		if dialed("127.0.0.2:"+port) != step.elsewhere {
			t.Errorf("at %s somebody listens at 127.0.0.2: %v, want %v", step.address, !step.elsewhere, step.elsewhere)
		}
		if second, err := net.Listen("tcp", "127.0.0.1:"+port); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("at %s another one can listen at 127.0.0.1 (%v)", step.address, err)
			if err == nil {
				second.Close()
			}
		}
	}
}

// What is not the node's own stays in the way.
func TestAListenerDoesNotMoveToWhereAnotherProgramListens(t *testing.T) {
	r := start(t, httpConfig)
	_, port, err := net.SplitHostPort(r.address("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.file("countersign.yaml", []byte(strings.ReplaceAll(with(httpConfig, "127.0.0.1:0", ":"+port), "BACKEND", r.backend)))
	if err := r.publisher.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), `:`+port+`, where something listens already`) {
		t.Errorf("the error is %v", err)
	}
	r.plain("127.0.0.1:0").get().served(t)
	if len(r.node.Addresses()) != 1 || dialed("127.0.0.3:"+port) {
		t.Errorf("it listens at %v", r.node.Addresses())
	}
}
