package device

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"countersign.dev/internal/store"
)

// A Format is how a list of devices is written.
type Format string

// The formats of imports and exports.
const (
	CSV       Format = "csv"       // the first line names the columns
	JSONLines Format = "jsonlines" // an object a line
)

// ParseFormat returns the format that s names.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case CSV, JSONLines:
		return f, nil
	}
	return "", fmt.Errorf("format %q: want csv or jsonlines", s)
}

// exported are the columns of an export. What the nodes alone know may be in an import
// too, so that an export can be imported elsewhere, and is left alone.
func exported() []string {
	return []string{"id", "state", "labels", "notes", "created", "first_seen", "last_seen", "last_address"}
}

// A rowReader reads one row after the other; io.EOF behind the last. Another
// error with a line number is about that line alone.
type rowReader interface {
	next() (store.Row, error)
}

// A lineError is about one line.
type lineError struct {
	line int
	err  error
}

func (e lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e lineError) Unwrap() error { return e.err }

// reader begins an import. Its error is about the file as a whole.
func (r *Registry) reader(f Format, from io.Reader) (rowReader, error) {
	l := newLines(from)
	if f == JSONLines {
		return &jsonReader{registry: r, lines: l}, nil
	}
	c := &csvReader{registry: r, lines: l, comma: ','}
	return c, c.header()
}

type jsonReader struct {
	registry *Registry
	lines    *lines
}

// A jsonRow is a line of JSON.
type jsonRow struct {
	ID          string            `json:"id"`
	State       string            `json:"state,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Notes       *string           `json:"notes,omitempty"`
	Created     *time.Time        `json:"created,omitempty"`
	FirstSeen   *time.Time        `json:"first_seen,omitempty"`
	LastSeen    *time.Time        `json:"last_seen,omitempty"`
	LastAddress string            `json:"last_address,omitempty"`
}

func (j *jsonReader) next() (store.Row, error) {
	for {
		line, err := j.lines.next()
		if err == nil {
			err = checkText(line)
		}
		if err != nil && !errors.Is(err, errLong) && !errors.Is(err, errNotUTF8) {
			return store.Row{}, err
		}
		if err == nil && strings.TrimSpace(line) == "" {
			continue
		}
		var row store.Row
		if err == nil {
			row, err = j.parse(line)
		}
		row.Line = j.lines.number
		if err != nil {
			return store.Row{}, lineError{row.Line, err}
		}
		return row, nil
	}
}

func (j *jsonReader) parse(line string) (store.Row, error) {
	var v jsonRow
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return store.Row{}, fmt.Errorf(`%s; write a device as {"id": "...", "labels": {"key": "value"}}`, strings.TrimPrefix(err.Error(), "json: "))
	}
	if rest := strings.TrimSpace(line[d.InputOffset():]); rest != "" {
		return store.Row{}, fmt.Errorf("something follows the object: %q; write one device a line", shortened(rest))
	}
	return j.registry.row(v.ID, v.State, v.Labels, v.Notes)
}

type csvReader struct {
	registry *Registry
	lines    *lines
	comma    rune
	columns  []string
}

func (c *csvReader) header() error {
	line, err := c.lines.next()
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty; the first line names the columns: id,state,labels,notes")
	}
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	// Spreadsheets of half the world write semicolons.
	for _, r := range ";\t" {
		if !strings.ContainsRune(line, ',') && strings.ContainsRune(line, r) {
			c.comma = r
		}
	}
	if c.columns, err = c.split(line); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for i, name := range c.columns {
		name = strings.ToLower(strings.TrimSpace(name))
		if key, ok := cutPrefixFold(strings.TrimSpace(c.columns[i]), "label."); ok {
			name = "label." + key // labels keep their case
			if !labelKey.MatchString(key) {
				return fmt.Errorf("line 1: column %q: %q is no key of a label", shortened(c.columns[i]), shortened(key))
			}
		} else if !slices.Contains(exported(), name) {
			return fmt.Errorf("line 1: column %q is not known; there are id, state, notes, labels (key=value;key=value) and label.KEY", shortened(c.columns[i]))
		}
		if slices.Contains(c.columns[:i], name) {
			return fmt.Errorf("line 1: column %q is there twice", name)
		}
		c.columns[i] = name
	}
	if !slices.Contains(c.columns, "id") {
		return errors.New("line 1: there is no column id; the first line names the columns: id,state,labels,notes")
	}
	return nil
}

// split takes one record apart.
func (c *csvReader) split(record string) ([]string, error) {
	if !strings.Contains(record, `"`) {
		return strings.Split(record, string(c.comma)), nil
	}
	r := csv.NewReader(strings.NewReader(record))
	r.Comma = c.comma
	fields, err := r.Read()
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		err = fmt.Errorf("%w; a quote within a quoted field is written twice", bad.Err)
	}
	return fields, err
}

// maxSpan is how many lines a record may have: notes may have some.
const maxSpan = 100

func (c *csvReader) next() (store.Row, error) {
	for {
		line, err := c.lines.next()
		if err != nil && !errors.Is(err, errLong) {
			return store.Row{}, err
		}
		at := c.lines.number
		if err == nil && line == "" {
			continue
		}
		var row store.Row
		if err == nil {
			line, err = c.whole(line)
		}
		if err == nil {
			err = checkText(line)
		}
		if err == nil {
			row, err = c.parse(line)
		}
		if err != nil {
			return store.Row{}, lineError{at, err}
		}
		row.Line = at
		return row, nil
	}
}

// whole adds the lines that a quoted field goes on in. A quote that is never
// closed costs its line alone.
func (c *csvReader) whole(line string) (string, error) {
	var more []read
	all := line
	for open := strings.Count(line, `"`)%2 == 1; open; {
		next, err := c.lines.next()
		if err == nil || errors.Is(err, errLong) {
			more = append(more, read{next, err})
		}
		if err != nil || len(more) > maxSpan || len(all)+len(next) > maxLine {
			c.lines.unread(more)
			return "", errors.New("a quote is opened and not closed")
		}
		all += "\n" + next
		open = strings.Count(next, `"`)%2 == 0
	}
	return all, nil
}

func (c *csvReader) parse(record string) (store.Row, error) {
	fields, err := c.split(record)
	if err != nil {
		return store.Row{}, err
	}
	if len(fields) != len(c.columns) {
		return store.Row{}, fmt.Errorf("it has %d fields, the first line has %d", len(fields), len(c.columns))
	}
	var id, state string
	var labels map[string]string
	var notes *string
	for i, f := range fields {
		switch name := c.columns[i]; name {
		case "id":
			id = f
		case "state":
			state = strings.ToLower(strings.TrimSpace(f))
		case "notes":
			notes = &f
		case "labels":
			more, err := ParseLabels(f)
			if err != nil {
				return store.Row{}, err
			}
			if labels, err = joined(labels, more); err != nil {
				return store.Row{}, err
			}
		default:
			key, ok := strings.CutPrefix(name, "label.")
			if !ok {
				continue // of the nodes alone
			}
			one := map[string]string{}
			if v := strings.TrimSpace(f); v != "" {
				one[key] = v
			}
			if labels, err = joined(labels, one); err != nil {
				return store.Row{}, err
			}
		}
	}
	return c.registry.row(id, state, labels, notes)
}

func joined(a, b map[string]string) (map[string]string, error) {
	if a == nil {
		return b, nil
	}
	for k, v := range b {
		if was, twice := a[k]; twice && was != v {
			return nil, fmt.Errorf("label %s is both %q and %q", k, was, v)
		}
		a[k] = v
	}
	return a, nil
}
