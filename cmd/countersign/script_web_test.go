package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// A web publishes files, over TLS or not.
type web struct {
	address string
	stop    func()
}

// cmdWeb is about a web server called NAME, found at https://$NAME, or without
// CERT and KEY at http://$NAME:
//
//	web NAME DIR            starts one without TLS
//	web NAME DIR CERT KEY   starts it; again, after stop, at the same address
//	web NAME DIR CERT KEY CA  ... and it demands a certificate of that authority
//	web NAME stop           connections to it are refused from now on
//
// It serves the files of DIR, with conditional requests.
func cmdWeb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 4 && len(args) != 5 {
		ts.Fatalf("usage: web NAME DIR [CERT KEY [CA]], web NAME stop")
	}
	s := stageOf(ts)
	w := s.webs[args[0]]
	if len(args) == 2 && args[1] == "stop" {
		w.stop()
		return
	}
	if w == nil {
		w = &web{address: "localhost:0"}
		s.webs[args[0]] = w
	}
	listener, err := net.Listen("tcp4", w.address)
	ts.Check(err)
	if len(args) > 2 {
		certificate, err := tls.LoadX509KeyPair(ts.MkAbs(args[2]), ts.MkAbs(args[3]))
		ts.Check(err)
		cfg := &tls.Config{Certificates: []tls.Certificate{certificate}}
		if len(args) == 5 {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			cfg.ClientCAs.AppendCertsFromPEM([]byte(ts.ReadFile(args[4])))
		}
		listener = tls.NewListener(listener, cfg)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w.address = "localhost:" + port
	server := &http.Server{Handler: http.FileServer(http.Dir(ts.MkAbs(args[1]))), ErrorLog: log.New(io.Discard, "", 0)}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(listener) })
	w.stop = func() { server.Close(); running.Wait() }
	ts.Defer(w.stop)
	ts.Setenv(args[0], w.address)
}
