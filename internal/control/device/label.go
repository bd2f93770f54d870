package device

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var labelKey = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

// What a device may have.
const (
	maxLabels = 32
	maxValue  = 128
	maxNotes  = 4096
)

// checkLabels says what is wrong with labels, if anything is.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels: a device has at most %d", len(labels), maxLabels)
	}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v := labels[k]
		switch {
		case !labelKey.MatchString(k):
			return fmt.Errorf("label %q: a key has letters, digits and . _ / - between them, at most 63", shortened(k))
		case !utf8.ValidString(v):
			return fmt.Errorf("label %s: the value %q is not UTF-8", k, shortened(v))
		case utf8.RuneCountInString(v) > maxValue:
			return fmt.Errorf("label %s: the value has %d letters, at most %d are possible", k, utf8.RuneCountInString(v), maxValue)
		case strings.ContainsFunc(v, func(r rune) bool { return r == ';' || r == ',' || !unicode.IsPrint(r) }):
			return fmt.Errorf("label %s: the value %q has a comma, a semicolon or a control character", k, shortened(v))
		case v != strings.TrimSpace(v):
			return fmt.Errorf("label %s: the value %q begins or ends with a blank", k, shortened(v))
		}
	}
	return nil
}

func checkNotes(notes string) error {
	switch {
	case !utf8.ValidString(notes):
		return fmt.Errorf("the notes are not UTF-8")
	case utf8.RuneCountInString(notes) > maxNotes:
		return fmt.Errorf("the notes have %d letters, at most %d are possible", utf8.RuneCountInString(notes), maxNotes)
	case strings.ContainsFunc(notes, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }):
		return fmt.Errorf("the notes have a control character")
	}
	return nil
}

// ParseLabels reads key=value;key=value.
func ParseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		k, v, ok := strings.Cut(part, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !ok {
			return nil, fmt.Errorf("label %q: write key=value", shortened(part))
		}
		if _, twice := labels[k]; twice {
			return nil, fmt.Errorf("label %s is there twice", k)
		}
		labels[k] = v
	}
	return labels, checkLabels(labels)
}

// FormatLabels is what ParseLabels reads, in the order of the keys.
func FormatLabels(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ";")
}
