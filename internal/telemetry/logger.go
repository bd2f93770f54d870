package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns the program's logger. level is debug, info, warn or error,
// format is text or json; "" is info and text. Values that look like a secret
// are not written, see redact.go.
func NewLogger(level, format string, w io.Writer) (*slog.Logger, error) {
	l, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	h := &handler{level: new(slog.LevelVar)}
	h.level.Set(l)
	options := &slog.HandlerOptions{Level: h.level, ReplaceAttr: redact}
	switch format {
	case "", "text":
		h.Handler = slog.NewTextHandler(w, options)
	case "json":
		h.Handler = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("log format %q: want text or json", format)
	}
	return slog.New(h), nil
}

// SetLevel changes the level of a logger made by NewLogger, together with all
// loggers derived from it, at once.
func SetLevel(logger *slog.Logger, level string) error {
	l, err := parseLevel(level)
	if err != nil {
		return err
	}
	h, ok := logger.Handler().(*handler)
	if !ok {
		return fmt.Errorf("log level %q: the logger was not made by telemetry.NewLogger", level)
	}
	h.level.Set(l)
	return nil
}

func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}

// A handler remembers where its level is kept.
type handler struct {
	slog.Handler
	level *slog.LevelVar
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.level}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.level}
}
