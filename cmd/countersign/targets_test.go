package main

import (
	"testing"
	"time"

	"countersign.dev/client"
)

func TestWhatIsToBeSaidOfATarget(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.FixedZone("", 3600))
	for want, target := range map[string]client.Target{
		"-":                                    {State: "healthy"},
		"found as dns:broker:1883":             {Name: "dns:broker:1883"},
		"starts slowly":                        {SlowStart: true},
		"Target deregistration is in progress": {Reason: "Target deregistration is in progress"},
		"left out until 2026-11-22T09:00:00Z, because requests failed":      {EjectedUntil: &at},
		"Health checks failed; its connections end at 2026-11-22T09:00:00Z": {Reason: "Health checks failed", ConnectionsEnd: &at},
	} {
		if got := remark(target); got != want {
			t.Errorf("%+v: %q, want %q", target, got, want)
		}
	}
}
