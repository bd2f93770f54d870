package strictyaml

import (
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A Rule is what a text must be, beyond being text.
type Rule struct {
	Expected string // in words: "a file"
	// Check returns the text as it is to be used, or false with a hint that may
	// be empty.
	Check func(text string) (clean, hint string, ok bool)
	// Secret keeps the text, which may have a password in it, out of faults.
	Secret bool
}

// Options says how to decode.
type Options struct {
	Name  string          // of the file, for its faults
	Rules map[string]Rule // by the word that the tag is:"..." uses
	// LookupEnv finds the variables of ${NAME}; nil: os.LookupEnv.
	LookupEnv func(string) (string, bool)
}

// Decode decodes data into the struct that into points to, with defaults where
// the file is silent. What is in the struct is of use only when the document has
// no faults.
func Decode(data []byte, into any, o Options) *Document {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	d := &decoder{
		Document: &Document{name: o.Name, places: map[string]place{}, refused: map[string]bool{}},
		options:  o,
		anchors:  map[string]*ast.AnchorNode{},
		open:     map[string]bool{},
		left:     maxValues,
		fields:   map[reflect.Type][]field{},
	}
	root := reflect.ValueOf(into).Elem()
	d.root = root.Type()
	d.defaults(root)
	if n := d.parse(data); n != nil {
		ast.Walk(d, n)
		d.places[""] = startOf(n)
		d.value(n, root, field{typ: d.root}, "")
	}
	return d.Document
}

type decoder struct {
	*Document
	options Options
	root    reflect.Type
	anchors map[string]*ast.AnchorNode
	open    map[string]bool // anchors whose value is being decoded
	left    int             // of maxValues
	fields  map[reflect.Type][]field
}

// Visit collects the anchors.
func (d *decoder) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		if _, twice := d.anchors[anchorName(a)]; twice {
			d.syntax(a.GetToken(), "anchor &"+brief(anchorName(a))+" again", "a name of its own", "")
		} else {
			d.anchors[anchorName(a)] = a
		}
	}
	return d
}

func anchorName(a *ast.AnchorNode) string { return a.Name.GetToken().Value }

// refuse reports a fault at path.
func (d *decoder) refuse(path, found, expected, hint string) {
	d.Report(d.Fault(path, found, expected, hint))
}

// value decodes n into v, whose tags are f.
func (d *decoder) value(n ast.Node, v reflect.Value, f field, path string) {
	if d.left--; d.left <= 0 {
		if d.left == 0 {
			d.refuse("", fmt.Sprintf("more than %d values", maxValues), "a configuration", "the values behind an alias count at each use")
		}
		return
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		d.anchored(n, v, f, path)
		return
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		a, ok := d.anchors[name]
		switch {
		case !ok || a.GetToken().Position.Offset > n.GetToken().Position.Offset:
			d.refuse(path, "alias *"+brief(name), "an anchor &"+brief(name)+" before it", "")
		case d.open[name]:
			d.refuse(path, "alias *"+brief(name)+" within its own anchor", "", "")
		default:
			d.anchored(a, v, f, path)
		}
		return
	case *ast.TagNode:
		d.refuse(path, "the tag "+brief(n.GetToken().Value), "a value without a tag", "put text in quotes")
		return
	case nil, *ast.NullNode:
		d.refuse(path, "nothing", d.expected(v.Type(), f), f.absentHint())
		return
	}
	switch {
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.defaults(p.Elem())
		d.value(n, p.Elem(), f, path)
		v.Set(p)
	case hasKeys(v.Type()):
		d.mapping(n, v, f, path)
	case v.Kind() == reflect.Map:
		d.named(n, v, f, path)
	case isList(v.Type()):
		d.list(n, v, f, path)
	default:
		d.scalar(n, v, f, path)
	}
}

// anchored decodes the value of a, and notices an alias to a within.
func (d *decoder) anchored(a *ast.AnchorNode, v reflect.Value, f field, path string) {
	d.open[anchorName(a)] = true
	d.value(a.Value, v, f, path)
	delete(d.open, anchorName(a))
}

func (d *decoder) list(n ast.Node, v reflect.Value, f field, path string) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	if len(items) == 0 {
		d.refuse(path, "an empty list", d.expected(v.Type(), f), f.absentHint())
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	seen := map[any]bool{}
	for i, item := range items {
		at, elem := fmt.Sprintf("%s[%d]", path, i), v.Index(i)
		if item != nil {
			d.places[at] = startOf(item)
		}
		if hasKeys(elem.Type()) {
			d.defaults(elem)
			d.value(item, elem, f, at)
			continue
		}
		d.value(item, elem, f, at)
		if !d.Refused(at) && elem.Comparable() {
			if seen[elem.Interface()] {
				d.refuse(at, describe(item)+" again", "each value once", "")
			}
			seen[elem.Interface()] = true
		}
	}
}

// entriesOf returns what a mapping has; false: n is none.
func entriesOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// named decodes a mapping whose keys are names of the user's own.
func (d *decoder) named(n ast.Node, v reflect.Value, f field, path string) {
	entries, ok := entriesOf(n)
	switch {
	case !ok:
		d.refuse(path, describe(n), d.expected(v.Type(), f), f.hint)
		return
	case len(entries) == 0:
		d.refuse(path, "an empty mapping", d.expected(v.Type(), f), f.absentHint())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	seen := map[string]int{}
	for _, entry := range entries {
		name, at, _, ok := d.key(entry, path, seen)
		if !ok {
			continue
		}
		d.note(at, entry)
		if f.keys != "" {
			rule := d.options.Rules[f.keys]
			clean, hint, ok := rule.Check(name)
			if !ok {
				d.syntaxAt(startOf(entry.Key), at, quote(name)+" as a name", rule.Expected, hint)
				continue
			}
			name = clean
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(entry.Value, elem, f, at)
		v.SetMapIndex(reflect.ValueOf(name), elem)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, f field, path string) {
	fields := d.fieldsOf(v.Type())
	entries, ok := entriesOf(n)
	if !ok {
		alone := slices.IndexFunc(fields, func(f field) bool { return f.alone })
		if _, isList := n.(*ast.SequenceNode); alone < 0 || isList {
			d.refuse(path, describe(n), d.expected(v.Type(), f), f.hint)
			return
		}
		f := fields[alone]
		d.places[join(path, f.key)] = startOf(n)
		d.value(n, v.Field(f.index), f, path)
		return
	}
	seen, readable := map[string]int{}, true
	for _, entry := range entries {
		readable = d.entry(entry, v, fields, path, seen) && readable
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.required && !ok && f.key != "" && readable {
			d.refuse(join(path, f.key), "nothing", d.expected(f.typ, f), f.absentHint())
		}
	}
}

// key reads the key of an entry: readable, unless it could not be made out at all;
// ok, unless there is a fault. seen holds the lines of the keys before it in the
// same mapping, 0 for those that need not be there.
func (d *decoder) key(entry *ast.MappingValueNode, path string, seen map[string]int) (name, at string, readable, ok bool) {
	where := startOf(entry.Key)
	key, ok := entry.Key.(*ast.StringNode)
	switch {
	case !ok:
		d.syntaxAt(where, path, quote(entry.Key.GetToken().Value)+" as a key", "a plain word", mergeHint(entry.Key))
		return "", "", false, false
	case glued(key, entry):
		d.syntaxAt(where, path, quote(key.Value+":"+entry.Value.GetToken().Value), "", "put text with a colon in quotes here, and a blank behind the colon of a key")
		return "", "", false, false
	}
	at = join(path, brief(key.Value))
	if line := seen[key.Value]; line > 0 {
		d.syntaxAt(where, at, "the key again", "each key once", fmt.Sprintf("it is on line %d already", line))
		return "", "", true, false
	}
	seen[key.Value] = where.line
	return key.Value, at, true, true
}

// note remembers where the value at path is: on its key, unless it is plain.
func (d *decoder) note(path string, entry *ast.MappingValueNode) {
	d.places[path] = startOf(entry.Key)
	if _, _, plain := textOf(entry.Value); plain {
		d.places[path] = startOf(entry.Value)
	}
}

// entry decodes one key with its value, and reports whether the key could be
// read at all.
func (d *decoder) entry(entry *ast.MappingValueNode, v reflect.Value, fields []field, path string, seen map[string]int) bool {
	name, at, readable, ok := d.key(entry, path, seen)
	if !ok {
		return readable
	}
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == name && f.key != "" })
	if i < 0 {
		d.unknown(startOf(entry.Key), at, name, fields)
		return true
	}
	f := fields[i]
	for _, other := range f.instead {
		seen[other] = max(seen[other], 0)
	}
	if f.typ == laterType {
		d.syntaxAt(startOf(entry.Key), at, "a key that is not supported yet", "", f.hint)
		return true
	}
	d.note(at, entry)
	d.value(entry.Value, v.Field(f.index), f, at)
	return true
}

// glued reports whether nothing is between a plain key, its colon and its value.
// To YAML that is text, such as host:80; the parser takes it for a key where it
// is within {}.
func glued(key *ast.StringNode, entry *ast.MappingValueNode) bool {
	if key.Token.Type != token.StringType || entry.Start == nil || entry.Value == nil {
		return false
	}
	colon, value := placeOf(entry.Start), startOf(entry.Value)
	return value.line == colon.line && value.column == colon.column+1 && entry.Value.Type() != ast.NullType
}

func mergeHint(key ast.MapKeyNode) string {
	if key.IsMergeKey() {
		return "merge keys are not supported: write the keys out, or alias a whole value"
	}
	return "put it in quotes if it is one"
}

// defaults fills the new struct v with what holds when nothing is written.
func (d *decoder) defaults(v reflect.Value) {
	for _, f := range d.fieldsOf(v.Type()) {
		fv := v.Field(f.index)
		switch {
		case f.byDefault != "" && isList(fv.Type()):
			for _, word := range words(f.byDefault) {
				elem := reflect.New(fv.Type().Elem()).Elem()
				d.mustSet(elem, word, f)
				fv.Set(reflect.Append(fv, elem))
			}
		case f.byDefault != "":
			d.mustSet(fv, f.byDefault, f)
		case hasKeys(fv.Type()):
			d.defaults(fv)
		}
	}
}

func (d *decoder) mustSet(v reflect.Value, text string, f field) {
	if p := d.set(v, text, f); p != nil {
		panic(fmt.Sprintf("default %q of %s: %+v", text, f.key, *p))
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
