// Package admin serves the operator's view of a node over HTTP.
//
//	/healthz  200 while the process serves, 503 while it drains: may it live?
//	/readyz   200 once it can take traffic, else 503 with the reasons: may it be sent traffic?
//	/metrics  Prometheus
//
// The management API answers under /v1/ and says itself who may. There is no
// authentication for the rest, so it listens on loopback unless told otherwise.
// Errors are plain text, or problem documents (RFC 9457) for a client whose
// Accept prefers JSON.
package admin
