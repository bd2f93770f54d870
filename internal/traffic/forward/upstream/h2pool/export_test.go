package h2pool

// HoldDials has those who find no room wait, while nobody dials.
func (p *Pool) HoldDials() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = true
}

// DialHeld ends HoldDials.
func (p *Pool) DialHeld() { p.config.Talkers.Go(p.connect) }

// Queued returns how many wait.
func (p *Pool) Queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.Len()
}

// Conn identifies the stream's connection.
func (s *Stream) Conn() any { return s.conn }

// Fill has the stream's connection take no further one.
func (s *Stream) Fill() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.conn.full = true
}

// Ended is closed when nothing comes on the stream's connection any more.
func (s *Stream) Ended() <-chan struct{} { return s.conn.ended }
