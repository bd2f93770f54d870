package naming

import (
	"regexp"
	"regexp/syntax"

	"countersign.dev/internal/control/device"
)

// Of returns the name as the pattern of ids has it; "" if that cannot be
// told from the pattern.
func Of(ids device.IDs) string {
	if ids.Pattern == nil {
		return idMark
	}
	return nameOf(ids.Pattern)
}

// nameOf inverts ^LITERAL(group)LITERAL$.
func nameOf(pattern *regexp.Regexp) string {
	re, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil {
		return ""
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	name, groups := "", 0
	for _, p := range parts {
		switch p.Op {
		case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpEmptyMatch:
		case syntax.OpLiteral:
			name += string(p.Rune)
		case syntax.OpCapture:
			name += idMark
			groups++
		default:
			return ""
		}
	}
	if groups != 1 {
		return ""
	}
	return name
}
