package route

import (
	"bytes"
	"fmt"
	"slices"

	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/route/template"
)

// Returns reports whether a redirect without variables leads to where the rule with
// those conditions takes the request again, whoever asks for it by whatever method.
func Returns(when *condition.Set, to *template.Template, protocol string, port uint16) bool {
	if !to.Constant() || when != nil && (len(when.Method)+len(when.Query)+len(when.Header)+len(when.Source) > 0 || when.Client != nil || when.Not != nil) {
		return false
	}
	path := to.Append(nil, &template.Values{})
	if rest, absolute := bytes.CutPrefix(path, []byte(protocol+"://")); absolute {
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		host := rest[:end]
		path = rest[end:]
		name, at, hasPort := bytes.Cut(host, []byte{':'})
		standard := map[string]string{"http": "80", "https": "443"}[protocol]
		if !hasPort {
			at = []byte(standard)
		}
		if string(at) != fmt.Sprint(port) || when == nil || len(when.Host) == 0 || !some(when.Host, name) {
			return false
		}
	} else if path[0] != '/' {
		return false
	}
	path, _, _ = bytes.Cut(path, []byte{'?'})
	if len(path) == 0 {
		path = []byte{'/'}
	}
	return when == nil || len(when.Path) == 0 || some(when.Path, path)
}

func some(patterns []*pattern.Pattern, text []byte) bool {
	return slices.ContainsFunc(patterns, func(p *pattern.Pattern) bool { return p.Match(text) })
}
