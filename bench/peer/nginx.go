package peer

import (
	"context"
	"strings"
)

func nginx() Peer {
	return Peer{
		Name: "nginx",
		Find: installed("nginx"),
		Version: func(ctx context.Context, program string) (string, error) {
			line, err := firstLine(ctx, program, "-v")
			return strings.TrimPrefix(line, "nginx version: "), err
		},
		Arguments: func(file string) []string { return []string{"-c", file} },
		Template:  "nginx.conf.tmpl",
		Stream:    "nginx.stream.conf.tmpl",
	}
}
