package peer

import (
	"context"
	"strings"
)

func haproxy() Peer {
	return Peer{
		Name: "haproxy",
		Find: installed("haproxy"),
		Version: func(ctx context.Context, program string) (string, error) {
			line, err := firstLine(ctx, program, "-v")
			line, _, _ = strings.Cut(line, " - ")
			return strings.TrimPrefix(line, "HAProxy version "), err
		},
		Arguments: func(file string) []string { return []string{"-db", "-f", file} },
		Template:  "haproxy.cfg.tmpl",
		Stream:    "haproxy.stream.cfg.tmpl",
	}
}
