package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Later is the type of a field whose key exists, but is not supported yet: to
// write the key is a fault. Its hint says what works today.
type Later struct{}

// A field is what the tags of a struct field say.
type field struct {
	index           int
	key             string
	required, alone bool
	byDefault       string
	one, later      []string
	min, max        string
	is, keys        string
	want, hint      string
	instead         []string
	typ             reflect.Type
}

// fieldsOf returns the fields of a struct type.
func (d *decoder) fieldsOf(t reflect.Type) []field {
	fields, ok := d.fields[t]
	if !ok {
		for i := range t.NumField() {
			if _, tagged := t.Field(i).Tag.Lookup("yaml"); tagged {
				fields = append(fields, fieldOf(t, i))
			}
		}
		d.fields[t] = fields
	}
	return fields
}

// fieldOf reads the tags of field i of t. A malformed tag is a mistake in the
// program, and panics.
func fieldOf(t reflect.Type, i int) field {
	sf := t.Field(i)
	key, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
	f := field{
		index:     i,
		key:       key,
		required:  option == "required" || option == "required,alone",
		alone:     option == "alone" || option == "required,alone",
		byDefault: sf.Tag.Get("default"),
		one:       words(sf.Tag.Get("one")),
		later:     words(sf.Tag.Get("later")),
		is:        sf.Tag.Get("is"),
		keys:      sf.Tag.Get("keys"),
		want:      sf.Tag.Get("want"),
		hint:      sf.Tag.Get("hint"),
		instead:   words(sf.Tag.Get("instead")),
		typ:       sf.Type,
	}
	if option != "" && !f.required && !f.alone {
		panic(fmt.Sprintf("%s.%s: unknown option %q", t, sf.Name, option))
	}
	if bounds := sf.Tag.Get("range"); bounds != "" {
		var ok bool
		if f.min, f.max, ok = strings.Cut(bounds, ".."); !ok {
			panic(fmt.Sprintf("%s.%s: range %q without ..", t, sf.Name, bounds))
		}
	}
	return f
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	laterType    = reflect.TypeFor[Later]()
)

// hasKeys reports whether a value of type t is written as a mapping.
func hasKeys(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != laterType && !isText(t)
}

// isList reports whether a value of type t is written as a list.
func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && !isText(t) }

// isText reports whether a value of type t is read by its own UnmarshalText.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// expected says in words what a value of type t in f must be.
func (d *decoder) expected(t reflect.Type, f field) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return d.expected(t.Elem(), f)
	case t.Kind() == reflect.Map:
		return "a mapping of names to " + d.expected(t.Elem(), f)
	case isList(t):
		return d.expected(t.Elem(), f) + ", or a list of such"
	case f.want != "":
		return f.want
	case f.is != "":
		return d.options.Rules[f.is].Expected
	case len(f.one) > 0:
		return oneOf(f.one)
	case hasKeys(t):
		return d.expectedKeys(t)
	case t == durationType:
		return "a duration such as 10s or 5m" + f.bounds()
	case t.Kind() == reflect.Int64:
		return "a size such as 16KiB" + f.bounds()
	case t.Kind() == reflect.Int:
		return "a whole number" + strings.TrimPrefix(f.bounds(), ",")
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "text"
}

func (d *decoder) expectedKeys(t reflect.Type) string {
	alone, keys := "", []string(nil)
	for _, f := range d.fieldsOf(t) {
		if f.alone {
			alone = d.expected(f.typ, f) + ", or "
		}
		if f.typ != laterType && f.key != "" {
			keys = append(keys, f.key)
		}
	}
	return alone + "a mapping with " + strings.Join(keys, ", ")
}

func (f field) bounds() string {
	switch {
	case f.min != "" && f.max != "":
		return ", from " + f.min + " to " + f.max
	case f.min != "":
		return ", at least " + f.min
	case f.max != "":
		return ", at most " + f.max
	}
	return ""
}

// oneOf returns "a, b or c".
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// absentHint says what to do about a key that has no value.
func (f field) absentHint() string {
	if f.required {
		return f.hintOr("this key is required")
	}
	return f.hintOr("leave the key out")
}

func (f field) hintOr(hint string) string {
	if f.hint != "" {
		return f.hint
	}
	return hint
}
