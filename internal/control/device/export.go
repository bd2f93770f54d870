package device

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"iter"
	"time"

	"countersign.dev"
)

// Export writes devices, and returns how many there were.
func Export(all iter.Seq2[countersign.Device, error], f Format, to io.Writer) (int, error) {
	w, err := newWriter(f, to)
	if err != nil {
		return 0, err
	}
	n := 0
	for d, err := range all {
		if err == nil {
			err = w.write(&d)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, w.flush()
}

// A writer writes an export.
type writer struct {
	csv  *csv.Writer
	json *json.Encoder
}

func newWriter(f Format, to io.Writer) (*writer, error) {
	if f == JSONLines {
		e := json.NewEncoder(to)
		e.SetEscapeHTML(false)
		return &writer{json: e}, nil
	}
	w := &writer{csv: csv.NewWriter(to)}
	return w, w.csv.Write(exported())
}

func (w *writer) write(d *countersign.Device) error {
	address := ""
	if d.LastAddress.IsValid() {
		address = d.LastAddress.String()
	}
	if w.json != nil {
		return w.json.Encode(jsonRow{ID: d.ID, State: string(d.State), Labels: d.Labels, Notes: &d.Notes,
			Created: given(d.Created), FirstSeen: given(d.FirstSeen), LastSeen: given(d.LastSeen), LastAddress: address})
	}
	return w.csv.Write([]string{d.ID, string(d.State), FormatLabels(d.Labels), d.Notes,
		stamp(d.Created), stamp(d.FirstSeen), stamp(d.LastSeen), address})
}

func (w *writer) flush() error {
	if w.csv == nil {
		return nil
	}
	w.csv.Flush()
	return w.csv.Error()
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
