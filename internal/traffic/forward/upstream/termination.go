package upstream

// Termination says which connections in use end before those who use them are
// through. It is for groups of protocol tcp and tls, whose connections may last
// for ever; its names are those of AWS's attributes of network balancers.
type Termination struct {
	// Unhealthy: those to a target that turns unhealthy, at once.
	Unhealthy bool
	// Deregistration: those to a target that was removed, when its delay is over.
	Deregistration bool
}

// Terminated is why a connection in use was closed by others than its holder.
type Terminated int32

// The reasons.
const (
	NotTerminated Terminated = iota
	Deregistered
	Unhealthy
)

// Terminated says why the connection was closed, if that was not its holder's doing.
func (c *Conn) Terminated() Terminated { return Terminated(c.ending.why.Load()) }

// stays reports whether connections in use outlive the deregistration delay.
func (t *Target) stays() bool { return t.keeps.Load() && t.InFlight() > 0 }

// terminate closes all connections in use, because the target is unhealthy, and
// returns how many there were.
func (t *Target) terminate() int {
	return t.pool.terminate() + t.privates.terminate()
}

func (p *pool) terminate() int {
	p.mu.Lock()
	var used []*Conn
	for c := range p.open {
		if c.held {
			used = append(used, c)
		}
	}
	p.mu.Unlock()
	for _, c := range used { // each is forgotten when it is released
		c.ending.why.Store(int32(Unhealthy))
		c.shut()
	}
	return len(used)
}

func (p *privates) terminate() (used int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for own := range p.all {
		if own.pool != nil {
			used += own.pool.terminate()
		}
	}
	return used
}
