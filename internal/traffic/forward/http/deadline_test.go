package http

import (
	"testing"
	"time"

	"countersign.dev/internal/wire/http1"
)

func TestACallIsOverAtTheDeadlineThatItsClientGave(t *testing.T) {
	for value, want := range map[string]bool{
		"1m": true, "2000u": true, "2000000n": true, "0S": true,
		"3m": false, "1S": false, "1M": false, "1H": false, "99999999H": false,
		"": false, "m": false, "2": false, "-1m": false, "1.5m": false, "1x": false, "000000001n": false,
	} {
		q := &http1.Request{Fields: []http1.Field{{Name: []byte("te"), Value: []byte("trailers")}, {Name: []byte("Grpc-Timeout"), Value: []byte(value)}}}
		if got := callIsOver(q, 2*time.Millisecond); got != want {
			t.Errorf("%q, after 2 ms: over %t", value, got)
		}
	}
	if callIsOver(&http1.Request{}, time.Hour) {
		t.Error("a call without a deadline is over")
	}
}
