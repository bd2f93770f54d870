package http2

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// preface is what a client sends first (RFC 9113 section 3.4).
const preface = http2.ClientPreface

// peerSettings are those of the peer's SETTINGS that bind us.
type peerSettings struct {
	known   bool
	connect bool
	window  int64  // of each stream, at first
	streams uint32 // that we may open
	limited bool   // streams was set by the peer
}

// queueSettings queues our preface and what we allow the peer.
func (c *Conn) queueSettings() {
	b := c.buf()
	if c.cfg.Client {
		b = append(b, preface...)
	}
	settings := [4]http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: c.cfg.Window},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(min(int64(c.cfg.Limits.Head), maxID))},
	}
	n := 2
	if c.cfg.Client {
		settings[n] = http2.Setting{ID: http2.SettingEnablePush, Val: 0}
		n++
	} else {
		settings[n] = http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.cfg.Streams}
		n++
		if c.cfg.Connect {
			settings[n] = http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}
			n++
		}
	}
	b = appendHeader(b, 6*n, http2.FrameSettings, 0, 0)
	for _, s := range settings[:n] {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	if more := c.cfg.ConnWindow - firstWindow; more > 0 {
		b = appendWord(b, http2.FrameWindowUpdate, 0, more)
	}
	c.put(b)
	c.owed++
}

// takeSettings applies the peer's SETTINGS (RFC 9113 section 6.5).
func (c *Conn) takeSettings(flags http2.Flags, id uint32, p []byte) *ConnError {
	switch {
	case id != 0:
		return fault(http2.ErrCodeProtocol, "SETTINGS on a stream (RFC 9113 section 6.5)")
	case flags.Has(http2.FlagSettingsAck) && len(p) > 0:
		return fault(http2.ErrCodeFrameSize, "an acknowledgment of SETTINGS that has a payload (RFC 9113 section 6.5)")
	case len(p)%6 != 0:
		return fault(http2.ErrCodeFrameSize, "SETTINGS whose length is no multiple of 6 (RFC 9113 section 6.5)")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.charge(&c.idle, 1+len(p)/64); e != nil || flags.Has(http2.FlagSettingsAck) {
		return e
	}
	next := c.peer
	for ; len(p) > 0; p = p[6:] {
		if e := next.set(http2.SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:]), c.cfg.Client); e != nil {
			return e
		}
	}
	// Section 6.5.3: the values are taken in their order, so the last counts.
	// Section 6.9.2: a change holds for the streams that are open, too.
	if change := next.window - c.peer.window; change != 0 {
		for _, s := range c.streams {
			if s.sendLeft += change; s.sendLeft > maxWindow {
				return fault(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes a window larger than 2^31-1 (RFC 9113 section 6.9.2)")
			}
			if change > 0 {
				s.writable.ring()
			}
		}
	}
	if !next.known {
		next.known = true
		if !next.limited {
			next.streams = maxID
		}
		if c.settledSig != nil {
			close(c.settledSig)
		}
	}
	c.peer = next
	return c.owe(appendHeader(c.buf(), 0, http2.FrameSettings, http2.FlagSettingsAck, 0))
}

// set takes one setting (RFC 9113 section 6.5.2, RFC 8441 section 3).
func (p *peerSettings) set(id http2.SettingID, v uint32, weAreClient bool) *ConnError {
	switch id {
	case http2.SettingEnablePush:
		if v > 1 || v == 1 && weAreClient {
			return fault(http2.ErrCodeProtocol, "a bad SETTINGS_ENABLE_PUSH (RFC 9113 section 6.5.2)")
		}
	case http2.SettingMaxConcurrentStreams:
		p.streams, p.limited = v, true
	case http2.SettingInitialWindowSize:
		if v > maxWindow {
			return fault(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 (RFC 9113 section 6.5.2)")
		}
		p.window = int64(v)
	case http2.SettingMaxFrameSize:
		if v < maxFrame || v > 1<<24-1 {
			return fault(http2.ErrCodeProtocol, "SETTINGS_MAX_FRAME_SIZE is not between 2^14 and 2^24-1 (RFC 9113 section 6.5.2)")
		}
	// Of the others, SETTINGS_HEADER_TABLE_SIZE bounds a table that we leave empty,
	// and SETTINGS_MAX_HEADER_LIST_SIZE is advice.
	case http2.SettingEnableConnectProtocol:
		if v > 1 || v == 0 && p.connect {
			return fault(http2.ErrCodeProtocol, "a bad SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3)")
		}
		p.connect = v == 1
	}
	return nil
}
