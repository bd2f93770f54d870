package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknown reports a key that no field has, with the one that may be meant.
func (d *decoder) unknown(at place, path, key string, fields []field) {
	var known, today []string
	for _, f := range fields {
		known = append(known, f.key)
		if f.key != "" && f.typ != laterType {
			today = append(today, f.key)
		}
	}
	var expected, hint string
	if near := Nearest(key, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	} else if homes := d.homesOf(d.root, "", key, nil); len(homes) > 0 {
		hint = fmt.Sprintf("%s belongs in %s", key, oneOf(homes))
	} else {
		expected = oneOf(today)
	}
	d.syntaxAt(at, path, "an unknown key", expected, hint)
}

// homesOf returns the paths below the struct t that have key, as they are in
// the file: wrong indentation is the commonest mistake. within are the structs
// around t, which may be of the same kind.
func (d *decoder) homesOf(t reflect.Type, path, key string, within []reflect.Type) []string {
	if slices.Contains(within, t) {
		return nil
	}
	var homes []string
	for _, f := range d.fieldsOf(t) {
		if f.key == key && path != "" {
			homes = append(homes, path)
		}
		sub, at := f.typ, join(path, f.key)
		if isList(sub) {
			sub, at = sub.Elem(), at+"[]"
		}
		if sub.Kind() == reflect.Pointer {
			sub = sub.Elem()
		}
		if hasKeys(sub) {
			homes = append(homes, d.homesOf(sub, at, key, append(within, t))...)
		}
	}
	return homes
}

// Nearest returns the word that a person who wrote text most likely meant, or
// "" when none is near: at most a third of its letters wrong, missing or too
// many, or two neighbors swapped.
func Nearest(text string, words []string) string {
	nearest, best := "", 0
	for _, word := range words {
		longer := max(len(text), len(word))
		if longer > 64 {
			continue
		}
		n := distance(strings.ToLower(text), strings.ToLower(word))
		if n <= longer/3 && (nearest == "" || n < best) {
			nearest, best = word, n
		}
	}
	return nearest
}

// distance is the optimal string alignment distance of a and b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
