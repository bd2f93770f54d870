package http

import (
	"strings"
	"testing"
)

// A fault that a helping goroutine finds reaches the goroutine of the connection.
func TestAFaultOfAHelperReachesItsConnection(t *testing.T) {
	var f fault
	told, done := false, make(chan struct{})
	go func() {
		defer close(done)
		defer f.keep(func() { told = true })
		var nobody *Front
		nobody.conn.Close()
	}()
	<-done
	defer func() {
		found, _ := recover().(string)
		if !told || !strings.Contains(found, "nil pointer") || !strings.Contains(found, "TestAFaultOfAHelper") {
			t.Errorf("told: %t, raised %q, want the helper's panic with its stack", told, found)
		}
	}()
	f.raise()
	t.Error("the fault was swallowed")
}
