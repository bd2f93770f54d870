package upstream

import (
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/sticky"
)

// Stickiness keeps clients at targets: one that was served by a target is served
// by it again, for as long as that may be picked.
type Stickiness struct {
	By       string         // cookie | client | source_ip
	Cookie   *sticky.Cookie // with By cookie
	Duration time.Duration  // with the others
	// Memory has the clients with By client or source_ip. Apply makes it, and
	// keeps it from one configuration to the next.
	Memory *sticky.Memory
}

// Mark is by what a cookie names the target.
func (t *Target) Mark() uint64 { return t.mark }

// Cookie returns the cookie that clients of the group are kept at targets by;
// nil: there is none.
func (g *Group) Cookie() *sticky.Cookie {
	if g.keeps == nil {
		return nil
	}
	return g.keeps.Cookie
}

// home returns the mark of the target where a is at home, 0 if there is none.
func (g *Group) home(a *Asker) uint64 {
	if g.keeps.Memory == nil {
		return a.Cookie
	}
	return g.keeps.Memory.Home(g.kept(a))
}

// remember makes t the home of a.
func (g *Group) remember(a *Asker, t *Target) {
	if g.keeps == nil || g.keeps.Memory == nil {
		return
	}
	if key := g.kept(a); key != 0 {
		g.keeps.Memory.Settle(key, t.mark)
	}
}

// kept is what a is known by; a client without a verified certificate, by where
// it comes from.
func (g *Group) kept(a *Asker) balance.Key {
	if g.keeps.By == "client" && a.Client != 0 {
		return a.Client
	}
	return a.source()
}
