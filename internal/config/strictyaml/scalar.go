package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// A problem is what is wrong with a text. An empty expected is for the field to say.
type problem struct{ found, expected, hint string }

// scalar decodes a plain value.
func (d *decoder) scalar(n ast.Node, v reflect.Value, f field, path string) {
	text, written, ok := textOf(n)
	if !ok {
		d.refuse(path, describe(n), d.expected(v.Type(), f), f.hint)
		return
	}
	found := describe(n)
	expanded := text
	if written {
		var err error
		if expanded, err = expand(text, d.options.LookupEnv); err != nil {
			d.refuse(path, found, "${NAME} of an environment variable", err.Error())
			return
		}
	}
	if expanded != text {
		found = fmt.Sprintf("%s from %s", quote(expanded), quote(text))
	}
	if d.options.Rules[f.is].Secret {
		found = "a text that may have a password in it"
	}
	expected := d.expected(v.Type(), f)
	// Text must be written as text, a number as a number, unless a variable
	// stands for it: variables hold text alone.
	switch kind := v.Kind(); {
	case isText(v.Type()): // reads what is written, however it is written
	case kind == reflect.String && !written:
		hint := "put it in quotes if it is meant"
		if p := d.set(v, text, f); p != nil { // quotes alone would not do
			hint = p.hint
		}
		d.refuse(path, found, expected, f.hintOr(hint))
		return
	case (kind == reflect.Int || kind == reflect.Bool) && written && expanded == text:
		hint := f.hint
		if d.set(v, text, f) == nil {
			hint = "write it without quotes"
		}
		d.refuse(path, found, expected, hint)
		return
	}
	p := d.set(v, expanded, f)
	if p == nil {
		return
	}
	if p.found == "" {
		p.found = found
	}
	if p.expected == "" {
		p.expected = expected
	}
	if p.hint == "" {
		p.hint = f.hint
	}
	d.refuse(path, p.found, p.expected, p.hint)
}

// set parses text into v as the tags f say. It is used for defaults as well.
func (d *decoder) set(v reflect.Value, text string, f field) *problem {
	switch {
	case text == "":
		return &problem{}
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return &problem{found: quote(text), expected: "text without control characters"}
	case slices.Contains(f.later, text):
		return &problem{found: quote(text) + ", which is not supported yet"}
	case len(f.one) > 0 && !slices.Contains(f.one, text):
		p := &problem{}
		if near := Nearest(text, f.one); near != "" {
			p.hint = fmt.Sprintf("did you mean %s?", near)
		}
		return p
	}
	if isText(v.Type()) {
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return &problem{hint: err.Error()}
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		if f.is != "" {
			clean, hint, ok := d.options.Rules[f.is].Check(text)
			if !ok {
				v.SetString(text)
				return &problem{hint: hint}
			}
			text = clean
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return &problem{}
		}
		v.SetBool(text == "true")
	default:
		n, hint, ok := number(v.Type(), text)
		if !ok || f.outside(v.Type(), n) {
			return &problem{hint: hint}
		}
		v.SetInt(n)
	}
	return nil
}

// outside reports whether n is beyond the bounds of f.
func (f field) outside(t reflect.Type, n int64) bool {
	bound := func(text string) int64 {
		b, _, ok := number(t, text)
		if !ok {
			panic(fmt.Sprintf("bound %q of %s", text, f.key))
		}
		return b
	}
	return f.min != "" && n < bound(f.min) || f.max != "" && n > bound(f.max)
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number parses a duration, a size or a whole number, as t says.
func number(t reflect.Type, text string) (n int64, hint string, ok bool) {
	if t == durationType {
		d, err := duration(text)
		if err != nil && decimal.MatchString(text) {
			hint = fmt.Sprintf("a unit is missing: %ss?", text)
		}
		return int64(d), hint, err == nil
	}
	unit := int64(1)
	if t.Kind() == reflect.Int64 {
		text, unit, hint = sizeUnit(text)
	}
	if !decimal.MatchString(text) {
		return 0, hint, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n*unit/unit != n {
		return 0, "the number is too large", false
	}
	return n * unit, "", true
}

// duration is time.ParseDuration with days before the rest: 365d, 1d12h.
func duration(text string) (time.Duration, error) {
	digits, rest, hasDays := strings.Cut(text, "d")
	days, err := strconv.ParseUint(digits, 10, 16)
	if !hasDays || err != nil || digits != strconv.FormatUint(days, 10) || days > 100_000 {
		return time.ParseDuration(text)
	}
	whole := time.Duration(days) * 24 * time.Hour
	if rest == "" {
		return whole, nil
	}
	d, err := time.ParseDuration(rest)
	if err == nil && (d < 0 || rest[0] == '+') {
		err = errors.New("a sign within a duration")
	}
	return whole + d, err
}

func sizeUnit(text string) (digits string, unit int64, hint string) {
	for shift, suffix := range []string{"B", "KiB", "MiB", "GiB"} {
		if digits, ok := strings.CutSuffix(text, suffix); ok && decimal.MatchString(digits) {
			return digits, 1 << (10 * shift), ""
		}
	}
	return text, 1, "units are KiB, MiB, GiB, each 1024 of the one before; without one, bytes"
}

// textOf returns the text of a plain value. written is true when the file has it
// as text, false for what YAML takes for a number or a truth.
func textOf(n ast.Node) (text string, written, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true, true
	case *ast.LiteralNode:
		return n.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// describe says what n is, to the person who wrote it.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode:
		return describe(n.Value)
	case *ast.AliasNode:
		return "*" + n.Value.GetToken().Value
	case nil, *ast.NullNode:
		return "nothing"
	}
	text, written, ok := textOf(n)
	switch {
	case !ok:
		return "a value of an unknown kind"
	case written:
		return quote(text)
	}
	return text
}

// quote quotes text for a line.
func quote(text string) string {
	if text == "" {
		return "an empty text"
	}
	return strconv.Quote(brief(text))
}

// brief shortens text to what fits on a line.
func brief(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}
