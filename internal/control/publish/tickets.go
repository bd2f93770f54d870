package publish

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"time"

	"countersign.dev/internal/traffic/handshake"
)

// ticketsSize is how large a file of ticket keys may be, in bytes.
const ticketsSize = 64 << 10

// ahead is how far in the future a key may begin to seal: it has to reach every
// node before. One dated by mistake would open tickets until long after.
const ahead = 24 * time.Hour

// tickets reads the keys of session tickets that nodes share.
func (c *compiler) tickets() {
	const path = "node.ticket_keys"
	file := c.cfg.Node.TicketKeys
	data, ok := c.private(path, file, ticketsSize)
	if !ok {
		return
	}
	now := time.Now()
	shared, err := parseTickets(data, now)
	if err != nil {
		c.fault(path, fmt.Sprintf("%s: %v", file, err), "a line for each key: when it was made, and 32 bytes in base64",
			`echo "$(date -u +%FT%TZ) $(head -c 32 /dev/urandom | base64)" makes one`)
		return
	}
	c.draft.tickets = shared
	until := shared.Latest().Add(handshake.TicketLifetime)
	c.expires("ticket_key", "node", file, until)
	if !now.Before(until) {
		c.warn(path, fmt.Sprintf("%s, whose latest key is of %s", file, shared.Latest().UTC().Format(time.RFC3339)), "one of the last day",
			"until another one is there, this node seals with a key of its own: other nodes do not resume its sessions")
	}
}

// parseTickets reads keys, one a line; # begins a comment. No error tells a secret.
func parseTickets(data []byte, now time.Time) (*handshake.SharedTicketKeys, error) {
	var keys []handshake.TicketKey
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		fields := bytes.Fields(line)
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d has %d words, want two", n, len(fields))
		}
		var key handshake.TicketKey
		var err error
		if key.Created, err = time.Parse(time.RFC3339, string(fields[0])); err != nil {
			return nil, fmt.Errorf("line %d does not begin with a date such as %s", n, now.UTC().Format(time.RFC3339))
		}
		if key.Created.After(now.Add(ahead)) {
			return nil, fmt.Errorf("line %d is of %s, more than a day from now", n, key.Created.UTC().Format(time.RFC3339))
		}
		secret, err := base64.StdEncoding.DecodeString(string(fields[1]))
		if err != nil {
			return nil, fmt.Errorf("line %d does not end in base64", n)
		}
		if copy(key.Secret[:], secret) != len(key.Secret) || len(secret) != len(key.Secret) {
			return nil, fmt.Errorf("line %d is a key of %d bytes, want %d", n, len(secret), len(key.Secret))
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return handshake.ShareTicketKeys(keys...)
}
