package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on a file. They are far above what a person writes, and keep a file
// that is not a configuration at all from taking the program's memory.
const (
	MaxSize = 1 << 20 // bytes
	// maxNesting bounds flow collections in each other; the parser keeps a path
	// for each, so that a megabyte of "[" would cost a terabyte.
	maxNesting = 32
	// maxIndent bounds the column at which a block collection may start.
	maxIndent = 128
	// maxKeys bounds the keys of all mappings: the parser takes quadratic time
	// over those of one.
	maxKeys = 10_000
	// maxValues bounds the values decoded, those behind an alias counted at
	// each use.
	maxValues = 50_000
)

// parse returns the one value in data. What is wrong with the file as a whole
// is reported, and the node is nil.
func (d *Document) parse(data []byte) (root ast.Node) {
	switch {
	case len(data) > MaxSize:
		d.Report(d.Fault("", fmt.Sprintf("more than %d bytes", MaxSize), "a configuration file", ""))
		return nil
	case !utf8.Valid(data):
		d.Report(d.Fault("", "bytes that are not UTF-8", "UTF-8 text", "is this the right file?"))
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))

	tokens := lexer.Tokenize(string(data))
	if tk, bound := tooMuch(tokens); tk != nil {
		d.syntax(tk, bound, "a configuration", "is this the right file?")
		return nil
	}
	// The parser is for files written by people; on a hostile one it may give up
	// in its own way.
	defer func() {
		if p := recover(); p != nil {
			d.Report(d.Fault("", fmt.Sprintf("text that confuses the YAML parser (%v)", p), "YAML", ""))
			root = nil
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			// A tab as it is would be a replacement character in the sentence.
			message := strings.Replace(syntax.GetMessage(), "character '\t' that", "a tab, which", 1)
			d.syntax(syntax.GetToken(), "text that is not YAML: "+message, "", syntaxHint(message))
		} else {
			d.Report(d.Fault("", "text that is not YAML: "+err.Error(), "", ""))
		}
		return nil
	}
	return d.only(file)
}

// only returns the body of the one document in file.
func (d *Document) only(file *ast.File) ast.Node {
	var body ast.Node
	for _, doc := range file.Docs {
		switch next := doc.Body.(type) {
		case nil:
		case *ast.DirectiveNode:
			d.syntax(next.GetToken(), "a YAML directive", "", "leave it out")
			return nil
		default:
			if body != nil {
				d.syntaxAt(startOf(next), "", "a second document", "one", "join them, without --- between")
				return nil
			}
			body = next
		}
	}
	if body == nil {
		d.Report(d.Fault("", "nothing", "a configuration", "is this the right file?"))
	}
	return body
}

// syntax reports a fault at a token, which has no path.
func (d *Document) syntax(tk *token.Token, found, expected, hint string) {
	d.syntaxAt(placeOf(tk), "", found, expected, hint)
}

// syntaxAt reports a fault at a place that path does not tell.
func (d *Document) syntaxAt(at place, path, found, expected, hint string) {
	f := d.Fault(path, found, expected, hint)
	f.Line, f.Column = at.line, at.column
	d.Report(f)
}

// syntaxHint says what to do about what the parser complains of, in the cases that
// are as common as they are obscure.
func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "a tab"):
		return "indent with blanks, not with tabs"
	case strings.Contains(message, "must be specified"):
		return "a bracket is not closed, or text with any of {}[],: in it needs quotes here"
	case strings.Contains(message, "not allowed in this context"):
		return "is this line, or the one before it, indented as its neighbors are? the keys of one mapping begin in the same column"
	case strings.Contains(message, "non-map value"):
		return "behind a key there is a colon, and then a blank"
	}
	return ""
}

// tooMuch returns the first token beyond a bound, with what is too much; nil when
// there is none.
func tooMuch(tokens token.Tokens) (tk *token.Token, bound string) {
	flow, keys := 0, 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.MappingKeyType, token.MappingValueType:
			keys++
		}
		switch {
		case keys > maxKeys:
			return tk, fmt.Sprintf("more than %d keys", maxKeys)
		case flow > maxNesting:
			return tk, fmt.Sprintf("more than %d values in each other", maxNesting)
		case flow <= 0 && tk.Position.Column > maxIndent && opensBlock(tk.Type):
			return tk, fmt.Sprintf("a value that begins beyond column %d", maxIndent)
		}
	}
	return nil, ""
}

// opensBlock reports whether a token can begin a collection of the block style.
func opensBlock(t token.Type) bool {
	return t == token.SequenceEntryType || t == token.MappingKeyType || t == token.MappingValueType
}

// startOf returns where n begins: a mapping of the block style begins at its
// first key, though its token is the colon.
func startOf(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return startOf(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return startOf(m.Key)
	}
	return placeOf(n.GetToken())
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{}
	}
	return place{tk.Position.Line, tk.Position.Column}
}
