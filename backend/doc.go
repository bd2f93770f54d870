// Package backend tells HTTP handlers who the client of a request is, as a
// gateway in front has stated it in identity headers.
//
// The dialect token is signed, and believed by the signature. The others are
// fields that anybody could write, and are believed from the gateway's addresses
// alone. Whatever is missing, contradicts itself, or comes from elsewhere is
// refused, and so are clients that nobody has verified, unless Config says
// otherwise.
//
//	v, err := backend.New(backend.Config{
//		Dialect: backend.Token, Audience: "api",
//		Keys: []string{"http://10.0.0.5:9901/.well-known/jwks.json"},
//	})
//	...
//	http.ListenAndServe(":9001", v.Handler(mux))
//
// Behind that, Identity(r.Context()) is who asks.
package backend
