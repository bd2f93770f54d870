package backend_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"countersign.dev/backend"
)

// A gateway that sends tokens: identity_headers: [token], and a target group called
// api. Both nodes of it publish their keys at their admin addresses.
func Example() {
	v, err := backend.New(backend.Config{
		Dialect:  backend.Token,
		Audience: "api",
		Keys:     []string{"http://10.0.0.5:9901/.well-known/jwks.json", "http://10.0.0.6:9901/.well-known/jwks.json"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", backend.Identity(r.Context()).Subject)
	}))
	_ = http.Server{Addr: ":9001", Handler: handler}
}

// A gateway that sends the headers of nginx, and is the only one to be believed.
func ExampleConfig_peers() {
	_, err := backend.New(backend.Config{
		Dialect: backend.Nginx,
		Peers:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28")},
	})
	fmt.Println(err)
	// Output: <nil>
}

// Nobody is believed whom nobody has named.
func ExampleNew() {
	_, err := backend.New(backend.Config{Dialect: backend.AWS})
	fmt.Println(err)
	// Output: backend: dialect aws without Peers: want the addresses of the gateway, for anybody else could write such headers
}

// A handler is tested without a gateway.
func ExampleWithIdentity() {
	r, _ := http.NewRequest("GET", "/", nil)
	r = r.WithContext(backend.WithIdentity(r.Context(), &backend.Client{Verified: true, Device: backend.Device{ID: "1", State: "active"}}))
	fmt.Println(backend.Identity(r.Context()).Device.ID)
	// Output: 1
}
