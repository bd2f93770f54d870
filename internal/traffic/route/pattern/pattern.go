package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Prefix begins a pattern that is a regular expression.
const Prefix = "regex:"

// Bounds on a regular expression: matching takes at most time in proportion to
// its size, and to that of the text.
const (
	maxExpression   = 512  // characters
	maxInstructions = 1000 // of what it compiles to
)

// A Pattern is a text with * for any characters, none included, and ? for one, or
// a regular expression behind "regex:", which need not match the whole text.
type Pattern struct {
	text string
	form form
	fold bool   // the case of A-Z does not count
	part string // what is compared, of the simple forms
	re   *regexp.Regexp
}

// A form is how a Pattern is compared, the cheap ones first.
type form uint8

const (
	exact form = iota
	prefix
	suffix
	anything
	glob
	expression
)

// Compile reads a pattern. With fold the case of A-Z does not count.
func Compile(text string, fold bool) (*Pattern, error) {
	p := &Pattern{text: text, fold: fold}
	if source, ok := strings.CutPrefix(text, Prefix); ok {
		re, err := compileExpression(source, fold)
		p.form, p.re = expression, re
		return p, err
	}
	if text == "" {
		return nil, errors.New("the pattern is empty; * is any text")
	}
	if fold {
		text = lower(text)
	}
	inner, stars := strings.Trim(text, "*"), strings.Count(text, "*")
	switch {
	case inner == "" && stars > 0:
		p.form = anything
	case strings.Contains(text, "?"):
		p.form, p.part = glob, text
	case stars == 0:
		p.form, p.part = exact, text
	case stars == 1 && text[len(text)-1] == '*':
		p.form, p.part = prefix, inner
	case stars == 1 && text[0] == '*':
		p.form, p.part = suffix, inner
	default:
		p.form, p.part = glob, text
	}
	return p, nil
}

func compileExpression(source string, fold bool) (*regexp.Regexp, error) {
	if source == "" || len(source) > maxExpression {
		return nil, fmt.Errorf("the expression has %d characters, expected 1 to %d", len(source), maxExpression)
	}
	flags := syntax.Perl
	if fold {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(source, flags)
	if err != nil {
		return nil, describe(source, err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if n := len(program.Inst); n > maxInstructions {
		return nil, fmt.Errorf("the expression compiles to %d instructions, expected at most %d; counted repetitions such as x{1,500} are what makes it large", n, maxInstructions)
	}
	if fold {
		source = "(?i)" + source
	}
	return regexp.Compile(source)
}

// describe says where an expression does not compile.
func describe(source string, err error) error {
	fault, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return err
	}
	at := strings.Index(source, fault.Expr)
	if fault.Expr == "" || at < 0 {
		return fmt.Errorf("%s", fault.Code)
	}
	return fmt.Errorf("%s at character %d: %s", fault.Code, at+1, fault.Expr)
}

// String is what was compiled.
func (p *Pattern) String() string { return p.text }

// Costly reports whether p is a regular expression.
func (p *Pattern) Costly() bool { return p.form == expression }

// Captures is how many parts of a text p captures: groups of a regular
// expression, or stars.
func (p *Pattern) Captures() int {
	if p.form == expression {
		return p.re.NumSubexp()
	}
	return strings.Count(p.text, "*")
}

// Match reports whether the whole text is as p wants it. It allocates nothing.
func (p *Pattern) Match(text []byte) bool {
	if p.form == expression {
		return p.re.Match(text)
	}
	return match(p, text)
}

// MatchString is Match for strings.
func (p *Pattern) MatchString(text string) bool {
	if p.form == expression {
		return p.re.MatchString(text)
	}
	return match(p, text)
}

func match[T string | []byte](p *Pattern, text T) bool {
	n := len(p.part)
	switch p.form {
	case exact:
		return len(text) == n && same(p.part, text, p.fold)
	case prefix:
		return len(text) >= n && same(p.part, text[:n], p.fold)
	case suffix:
		return len(text) >= n && same(p.part, text[len(text)-n:], p.fold)
	case anything:
		return true
	}
	return stars(p.part, text, p.fold, nil)
}

// same compares two texts of one length, from the end, where those that differ
// mostly do.
func same[T string | []byte](want string, text T, fold bool) bool {
	for i := len(want) - 1; i >= 0; i-- {
		c := text[i]
		if c != want[i] && !(fold && 'A' <= c && c <= 'Z' && c+('a'-'A') == want[i]) {
			return false
		}
	}
	return true
}

// stars compares text with a glob. When a character does not fit, only the last
// star takes one more: earlier ones never need to, so that the time is at most
// len(pattern) * len(text). What each star took is noted in taken.
func stars[T string | []byte](pattern string, text T, fold bool, taken *Captures) bool {
	p, v := 0, 0
	star, resume, nth := -1, 0, 0
	for v < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			taken.set(nth, v, v)
			star, resume = p, v
			nth++
			p++
		case p < len(pattern) && (pattern[p] == '?' || same(pattern[p:p+1], text[v:v+1], fold)):
			p++
			v++
		case star >= 0:
			resume++
			taken.end(nth-1, resume)
			p, v = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		taken.set(nth, v, v)
		nth++
		p++
	}
	return p == len(pattern)
}

// lower maps A-Z to a-z and nothing else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
