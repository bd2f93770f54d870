package strictyaml

import "strings"

// A Document is a decoded file: where each of its keys is, and what is wrong
// with it. It outlives decoding so that faults found later, in a file that a key
// names for example, can be told with their place too. A nil Document knows
// no place.
type Document struct {
	name    string
	places  map[string]place
	faults  Faults
	refused map[string]bool // paths with a fault at or within them, warnings aside
}

type place struct{ line, column int }

// Faults returns every fault so far, in the order of the file.
func (d *Document) Faults() Faults { return d.faults.Sorted() }

// Has reports whether path is written in the file, rather than a default.
func (d *Document) Has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// Line returns the line of path, or of the nearest thing around it that is in
// the file; 0: nothing is.
func (d *Document) Line(path string) int { return d.place(path).line }

// Fault describes a fault at path. It is not kept: see Report.
func (d *Document) Fault(path, found, expected, hint string) Fault {
	f := Fault{Path: path, Found: found, Expected: expected, Hint: hint}
	if d != nil {
		at := d.place(path)
		f.File, f.Line, f.Column = d.name, at.line, at.column
	}
	return f
}

// Report keeps f.
func (d *Document) Report(f Fault) {
	d.faults = append(d.faults, f)
	if f.Warning {
		return
	}
	for path := f.Path; path != "" && !d.refused[path]; path = parent(path) {
		d.refused[path] = true
	}
}

// Refused reports whether there is a fault at path, or in something within it:
// what else seems wrong with its value may be a mere consequence.
func (d *Document) Refused(path string) bool { return d.refused[path] }

// place returns where path is: its own place, else that of the nearest parent.
func (d *Document) place(path string) place {
	for ; path != ""; path = parent(path) {
		if at, ok := d.places[path]; ok {
			return at
		}
	}
	return d.places[""]
}

// parent returns the path around path: a.b[1] is in a.b, a.b is in a.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}
