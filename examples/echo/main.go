// Command echo is a backend for trying things out: it answers with the request
// as it came.
//
//	go run ./examples/echo [ADDRESS]
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"os"
)

func main() {
	address := "127.0.0.1:9001"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	log.Print("answering at http://", address)
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := httputil.DumpRequest(r, true)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(request)
	})))
}
