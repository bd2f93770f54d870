package publish

import (
	"bufio"
	"bytes"
	"fmt"
)

// keysSize is how large a file of keys may be, in bytes.
const keysSize = 64 << 10

// eachKey has take read each line of a file of keys; # begins a comment. What take
// says of a line is said with its number. No error tells a secret.
func eachKey(data []byte, take func(line string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := take(string(line)); err != nil {
			return fmt.Errorf("line %d %w", n, err)
		}
	}
	return lines.Err()
}

func sizedKey(secret []byte, want int) error {
	if len(secret) != want {
		return fmt.Errorf("is a key of %d bytes, want %d", len(secret), want)
	}
	return nil
}
