package publish

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign.dev/internal/traffic/handshake"
)

// ahead is how far in the future a key may begin to seal: it has to reach every
// node before. One dated by mistake would open tickets until long after.
const ahead = 24 * time.Hour

// tickets reads the keys of session tickets that nodes share.
func (c *compiler) tickets() {
	const path = "node.ticket_keys"
	file := c.cfg.Node.TicketKeys
	data, ok := c.private(path, file, keysSize)
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

// parseTickets reads keys, one a line behind its date.
func parseTickets(data []byte, now time.Time) (*handshake.SharedTicketKeys, error) {
	var keys []handshake.TicketKey
	err := eachKey(data, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("has %d words, want two", len(fields))
		}
		created, err := time.Parse(time.RFC3339, fields[0])
		if err != nil {
			return fmt.Errorf("does not begin with a date such as %s", now.UTC().Format(time.RFC3339))
		}
		if created.After(now.Add(ahead)) {
			return fmt.Errorf("is of %s, more than a day from now", created.UTC().Format(time.RFC3339))
		}
		secret, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil {
			return errors.New("does not end in base64")
		}
		key := handshake.TicketKey{Created: created}
		copy(key.Secret[:], secret)
		keys = append(keys, key)
		return sizedKey(secret, len(key.Secret))
	})
	if err != nil {
		return nil, err
	}
	return handshake.ShareTicketKeys(keys...)
}
