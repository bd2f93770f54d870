package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func countersign() Peer {
	return Peer{
		Name: Self,
		Find: build,
		Version: func(ctx context.Context, program string) (string, error) {
			line, err := firstLine(ctx, program, "version")
			return strings.TrimPrefix(line, "countersign "), err
		},
		Arguments: func(file string) []string { return []string{"serve", "-c", file} },
		Template:  "countersign.yaml.tmpl",
		Stream:    "countersign.stream.yaml.tmpl",
	}
}

// build makes the program from the module's sources as they are.
func build(ctx context.Context, b Build) (string, error) {
	program := filepath.Join(b.Dir, "countersign")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/countersign")
	cmd.Dir, cmd.Env = b.Module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/countersign: %w\n%s", err, out)
	}
	return program, nil
}
