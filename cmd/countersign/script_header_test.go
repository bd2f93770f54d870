package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHeader is "[!] header FILE NAME [decoded]": prints the value of the field
// in the last request head of the file, in which it has to be once; after !,
// not at all, in no spelling. Decoded, the value is percent-decoded.
func cmdHeader(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && (len(args) != 3 || args[2] != "decoded") {
		ts.Fatalf("usage: [!] header FILE NAME [decoded]")
	}
	heads := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\r\n\r\n"), "\r\n\r\n")
	var values []string
	for line := range strings.SplitSeq(heads[len(heads)-1], "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if neg && fold(name) == fold(args[1]) || !neg && strings.EqualFold(name, args[1]) {
			values = append(values, strings.TrimPrefix(value, " "))
		}
	}
	switch {
	case neg && len(values) > 0:
		ts.Fatalf("%s has %s: %q", args[0], args[1], values)
	case neg:
		return
	case len(values) != 1:
		ts.Fatalf("%s has %s %d times, want once: %q\n%s", args[0], args[1], len(values), values, heads[len(heads)-1])
	}
	if len(args) == 3 {
		decoded, err := url.PathUnescape(values[0]) // "+" stands for itself
		ts.Check(err)
		fmt.Fprint(ts.Stdout(), decoded)
		return
	}
	fmt.Fprintln(ts.Stdout(), values[0])
}

// fold makes equal the names that some server or other takes for the same.
func fold(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
}
