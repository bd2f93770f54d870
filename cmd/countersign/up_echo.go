package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// An echo is a backend that answers with the request as it reached it.
type echo struct {
	address string
	server  *http.Server
	done    chan struct{}
}

func startEcho(address string) (*echo, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the echo backend cannot listen where the configuration has its target: %w", err)
	}
	e := &echo{address: ln.Addr().String(), done: make(chan struct{})}
	e.server = &http.Server{Handler: http.HandlerFunc(answerWithRequest), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(e.done)
		e.server.Serve(ln) // ends with ErrServerClosed
	}()
	return e, nil
}

func (e *echo) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if e.server.Shutdown(ctx) != nil {
		e.server.Close()
	}
	<-e.done
}

func answerWithRequest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Path == "/healthz" {
		fmt.Fprintln(w, "ok")
		return
	}
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
}
