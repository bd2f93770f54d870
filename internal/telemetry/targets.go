package telemetry

import "github.com/prometheus/client_golang/prometheus"

// A TargetGroup is what is shown of a target group at the moment.
type TargetGroup struct {
	Name    string
	Waiting int
	Names   []ResolvedName
	Targets []Target
}

// A Target is what is shown of a target at the moment. Health and connection
// errors of those that the inventory names are known without.
type Target struct {
	Address       string
	Healthy       bool
	Share         float64
	Ejected       bool
	Ejections     uint64
	InFlight      int64
	ConnectErrors uint64
}

// A ResolvedName is a name behind which there are targets.
type ResolvedName struct {
	Name    string
	Targets int
	Good    bool
}

// collectTargets shows what target groups are doing.
func (m *Metrics) collectTargets(counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	if m.inventory.Groups == nil {
		return
	}
	for _, g := range m.inventory.Groups() {
		gauge(descQueue, float64(g.Waiting), g.Name)
		for _, n := range g.Names {
			gauge(descNameGood, truth(n.Good), g.Name, n.Name)
			gauge(descNameTargets, float64(n.Targets), g.Name, n.Name)
		}
		for _, t := range g.Targets {
			if !m.named.targets[target{g.Name, t.Address}] { // found behind a name
				gauge(descHealthy, truth(t.Healthy), g.Name, t.Address)
				counter(descConnectErrors, t.ConnectErrors, g.Name, t.Address)
			}
			gauge(descTargetShare, t.Share, g.Name, t.Address)
			gauge(descTargetEjected, truth(t.Ejected), g.Name, t.Address)
			counter(descTargetEjections, t.Ejections, g.Name, t.Address)
			gauge(descTargetInFlight, float64(t.InFlight), g.Name, t.Address)
		}
	}
}
