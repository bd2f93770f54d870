package http

import (
	"fmt"
	"runtime/debug"
)

// A fault carries a panic from a goroutine that helps with an exchange to the
// one that the exchange belongs to, whose caller knows how to end one connection
// without ending all. Its zero value is none.
type fault struct{ found any }

// keep is deferred by the helper. It calls then, so that nobody waits for it in vain.
func (f *fault) keep(then func()) {
	if found := recover(); found != nil {
		f.found = fmt.Sprintf("%v\n\nfound by:\n%s", found, debug.Stack())
		then()
	}
}

// raise goes on with the panic where the helper has been waited for.
func (f *fault) raise() {
	if f.found != nil {
		panic(f.found)
	}
}
