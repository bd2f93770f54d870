package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign.dev/internal/testport"
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
//	web NAME silent         one that accepts connections and never says anything; who came is in NAME.came
//	web NAME stop           connections to it are refused from now on
//
// It serves the files of DIR, with conditional requests.
func cmdWeb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 4 && len(args) != 5 {
		ts.Fatalf("usage: web NAME DIR [CERT KEY [CA]], web NAME silent, web NAME stop")
	}
	s := stageOf(ts)
	w := s.webs[args[0]]
	if len(args) == 2 && args[1] == "stop" {
		w.stop()
		return
	}
	if w == nil {
		_, port, _ := net.SplitHostPort(keptAddress(ts))
		w = &web{address: "localhost:" + port}
		s.webs[args[0]] = w
	}
	listener, err := net.Listen("tcp4", w.address)
	ts.Check(err)
	ts.Setenv(args[0], w.address)
	if len(args) == 2 && args[1] == "silent" {
		w.stop = silent(listener, ts.MkAbs(args[0]+".came"))
		ts.Defer(w.stop)
		return
	}
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
	server := &http.Server{Handler: http.FileServer(http.Dir(ts.MkAbs(args[1]))), ErrorLog: log.New(io.Discard, "", 0)}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(listener) })
	w.stop = func() { server.Close(); running.Wait() }
	ts.Defer(w.stop)
}

// keptAddress is testport.For a script.
func keptAddress(ts *testscript.TestScript) string {
	address, release, err := testport.Keep()
	ts.Check(err)
	ts.Defer(release)
	return address
}

// silent accepts connections, a line each in file, and keeps them until stop.
func silent(listener net.Listener, file string) (stop func()) {
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var kept []net.Conn
		defer func() {
			for _, c := range kept {
				c.Close()
			}
		}()
		came := ""
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			kept = append(kept, c)
			came += c.RemoteAddr().String() + "\n"
			os.WriteFile(file, []byte(came), 0o600)
		}
	})
	return func() { listener.Close(); accepting.Wait() }
}
