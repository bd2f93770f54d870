// Command handler is a backend that serves those alone whom a gateway has verified.
//
//	handler [ADDRESS [URL OF THE GATEWAY'S KEYS]]
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"countersign.dev/backend"
)

func main() {
	address, keys := "127.0.0.1:8080", "http://127.0.0.1:9901/.well-known/jwks.json"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if len(os.Args) > 2 {
		keys = os.Args[2]
	}
	verifier, err := backend.New(backend.Config{Dialect: backend.Token, Audience: "api", Keys: []string{keys}})
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := backend.Identity(r.Context())
		fmt.Fprintf(w, "hello %s, whose certificate ends %s\n", client.Subject, client.NotAfter.Format("2006-01-02"))
	})
	log.Print("answering at http://", address)
	log.Fatal(http.ListenAndServe(address, verifier.Handler(hello)))
}
