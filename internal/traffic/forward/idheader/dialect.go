package idheader

import (
	"fmt"
	"strings"
)

// A Dialect is a set of fields that some other proxy made known: the word in
// the configuration.
type Dialect string

// The dialects, each in the file of its name.
const (
	AWS     Dialect = "aws"
	Nginx   Dialect = "nginx"
	RFC9440 Dialect = "rfc9440"
	XFCC    Dialect = "xfcc"
	Traefik Dialect = "traefik"
)

type dialect struct {
	name   Dialect
	fields []string // every name that render may set
	render func(*output)
}

// dialects is the list of all that are rendered once per connection; token is not.
func dialects() []dialect {
	return []dialect{aws(), nginx(), rfc9440(), xfcc(), traefik()}
}

// Dialects returns the names of all dialects that Config.Dialects may list.
func Dialects() []Dialect {
	var names []Dialect
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return names
}

func dialectNamed(name Dialect) (dialect, error) {
	var known []string
	for _, d := range dialects() {
		if d.name == name {
			return d, nil
		}
		known = append(known, string(d.name))
	}
	return dialect{}, fmt.Errorf("identity header dialect %q: want one of %s", name, strings.Join(known, ", "))
}
