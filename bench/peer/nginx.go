package peer

import (
	"context"
	"errors"
	"os/exec"
	"slices"
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
		Streams: func(ctx context.Context, program string) error {
			built, err := exec.CommandContext(ctx, program, "-V").CombinedOutput()
			if err != nil || slices.Contains(strings.Fields(string(built)), "--with-stream") || (Site{}).StreamModule() != "" {
				return err
			}
			return errors.New("its stream module is not installed: apt-get install libnginx-mod-stream")
		},
	}
}
