package idheader

import (
	"errors"
	"fmt"

	"countersign.dev/internal/traffic/identify"
)

// A Text is a template with the placeholders of a Header that are about the
// connection, for what targets are told otherwise than by a header field.
type Text struct {
	source   string
	compiled template
}

// CompileText returns the Text of a template, or every fault in it, joined.
func CompileText(source string) (*Text, error) {
	t, faults := compileTemplate(source, false)
	if source == "" {
		faults = append(faults, errors.New("it is empty: want text with placeholders, such as {subject}"))
	}
	if t.authenticates {
		faults = append(faults, fmt.Errorf("%q says what a request has shown; a connection has shown nothing but its certificate", source))
	}
	return &Text{source, t}, errors.Join(faults...)
}

// Source returns what t was compiled from.
func (t *Text) Source() string { return t.source }

// Render returns the text about client. It is "" if t names the client and nothing
// is proven of it.
func (t *Text) Render(client identify.Client, conn Connection) string {
	if !client.Known() {
		return ""
	}
	return string(t.compiled.value(&output{client: client, conn: conn, standing: standingOf(client)}))
}
