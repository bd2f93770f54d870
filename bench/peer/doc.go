// Package peer runs the servers that are compared, set up to do the same work.
//
// Each has a file and a template of its configuration: nginx.go, haproxy.go,
// countersign.go; All lists them. Whoever doubts that the comparison is fair
// reads the three templates side by side: verified client certificates with
// revocation lists for the whole chain, the same header fields for the backend,
// connections kept on both sides, one worker for each core, TLS 1.3 with
// AES-128-GCM, logs off unless the work is about logs. Prove holds a running
// server to that.
package peer
