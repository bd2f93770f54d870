package upstream

import (
	"fmt"

	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// Unwell says of each of those groups that has no healthy target why not, one
// sentence each; nothing when all have one.
func (f *Fleet) Unwell(groups []string) (reasons []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range groups {
		r := f.rosters[name]
		if r == nil {
			reasons = append(reasons, fmt.Sprintf("there is no target group %q", name))
			continue
		}
		switch ring := r.ring.Load(); ring.source {
		case shares.FromHealthy, shares.FromZone:
		case shares.FromInitial:
			reasons = append(reasons, fmt.Sprintf("target group %q: no check of a target has ended yet", name))
		default:
			reasons = append(reasons, fmt.Sprintf("target group %q has no healthy target", name))
		}
	}
	return reasons
}
