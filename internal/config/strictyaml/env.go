package strictyaml

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces each ${NAME} in text by the variable's value, and $${ by ${.
// What comes out is not expanded again.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		m := variable.FindStringSubmatch(text[i:])
		if m == nil {
			return "", errors.New("a plain ${ is written $${")
		}
		value, ok := lookup(m[1])
		if !ok {
			return "", fmt.Errorf("%s is not set", m[1])
		}
		out.WriteString(value)
		text = text[i+len(m[0]):]
	}
}
