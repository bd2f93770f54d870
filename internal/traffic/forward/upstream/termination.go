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

// stays reports whether connections in use outlive the deregistration delay.
func (t *Target) stays() bool { return t.keeps.Load() && t.InFlight() > 0 }

// terminate closes all connections in use, because the target is unhealthy, and
// returns how many there were.
func (t *Target) terminate() int {
	return t.pool.Terminate() + t.privates.Terminate()
}
