package upstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/resolve"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// firstAnswer is how long Apply waits for the addresses behind new names.
const firstAnswer = 3 * time.Second

// A member is a target that a group has: one that its configuration lists, or one
// of those behind a name that it lists.
type member struct {
	address string
	name    string
	terms   shares.Terms
}

// A lookup is what is known of a name: the last that was good.
type lookup struct {
	found []resolve.Endpoint // nil: none was good so far
	err   error              // of the last question; nil: it was answered
	next  time.Duration      // until the next question
	stop  context.CancelFunc // ends the asking
}

// Dynamic reports whether what a configuration calls a target is a name behind
// which there may be any number of them.
func Dynamic(target string) bool { return resolve.IsName(target) }

// members are the targets of p, with those behind names that are known. The
// caller holds mu.
func (r *roster) members(p *plan) (all []member) {
	seen := map[string]bool{}
	add := func(m member) {
		if !seen[m.address] {
			seen[m.address] = true
			all = append(all, m)
		}
	}
	for _, target := range p.Targets {
		terms, ok := p.Terms[target]
		if !ok {
			terms.Weight = 1
		}
		if !Dynamic(target) {
			add(member{target, target, terms})
			continue
		}
		if a := r.names[target]; a != nil {
			for _, e := range a.found {
				add(member{e.Address, target, shares.Terms{Weight: terms.Weight * e.Weight, Zone: terms.Zone}})
			}
		}
	}
	return all
}

// names are those of a roster.
type names map[string]*lookup

func (n names) unresolved() bool { return len(n) > 0 }

// why says why there is nobody behind the names.
func (n names) why() string {
	var whys []string
	for name, a := range n {
		if a.err != nil {
			whys = append(whys, fmt.Sprintf("%s: %v", name, a.err))
		}
	}
	slices.Sort(whys)
	return strings.Join(whys, "; ")
}

// ask resolves the names of plans that nobody has asked for yet, all at once.
func (f *Fleet) ask(plans map[string]plan) map[string]*lookup {
	f.mu.Lock()
	fresh := map[string]*lookup{}
	for group, p := range plans {
		r := f.rosters[group]
		for _, target := range p.Targets {
			if Dynamic(target) && (r == nil || r.names[target] == nil) {
				fresh[target] = &lookup{}
			}
		}
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.working, firstAnswer)
	defer cancel()
	var asking sync.WaitGroup
	for name, a := range fresh {
		asking.Go(func() {
			a.found, a.next, a.err = f.config.Resolve(ctx, name)
		})
	}
	asking.Wait()
	return fresh
}

// follow has the names of r those of p, and asks for each as long as it is one.
// fresh are answers of this moment. The caller holds f.mu.
func (f *Fleet) follow(r *roster, p *plan, fresh map[string]*lookup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, a := range r.names {
		if !slices.Contains(p.Targets, name) {
			a.stop()
			delete(r.names, name)
		}
	}
	for _, name := range p.Targets {
		if !Dynamic(name) || r.names[name] != nil {
			continue
		}
		a := &lookup{}
		if first := fresh[name]; first != nil {
			*a = *first // which another group may have too
		}
		if a.err != nil {
			f.unresolved(p.Name, name, a.err, 0)
		}
		if r.names == nil {
			r.names = names{}
		}
		r.names[name] = a
		var ctx context.Context
		ctx, a.stop = context.WithCancel(f.working)
		first := a.next
		f.workers.Go(func() { f.inquire(ctx, r, name, first) })
	}
}

// forsake ends all asking for r. The caller holds f.mu.
func (f *Fleet) forsake(r *roster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.names {
		a.stop()
	}
	r.names = nil
}

// inquire asks for name whenever the answer before is no longer good.
func (f *Fleet) inquire(ctx context.Context, r *roster, name string, next time.Duration) {
	timer := time.NewTimer(next)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		found, next, err := f.config.Resolve(ctx, name)
		if ctx.Err() != nil {
			return
		}
		f.hear(ctx, r, name, found, err)
		timer.Reset(next)
	}
}

// hear takes an answer, and makes the targets those behind it. After an error
// they stay as they are.
func (f *Fleet) hear(ctx context.Context, r *roster, name string, found []resolve.Endpoint, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || f.closing.Load() || f.rosters[r.name] != r {
		return
	}
	r.mu.Lock()
	a := r.names[name]
	failed, known := a.err != nil, len(a.found)
	a.err = err
	same := slices.Equal(a.found, found)
	if err == nil {
		a.found = found
	} else if known == 0 {
		r.build(f.now()) // whoever is refused is told why
	}
	p := r.plan
	r.mu.Unlock()
	switch {
	case err != nil:
		if !failed {
			f.unresolved(r.name, name, err, known)
		}
		return
	case failed:
		f.config.Logger.Info("name is resolved again", "target_group", r.name, "name", name, "targets", len(found))
	case !same:
		f.config.Logger.Info("name is resolved otherwise", "target_group", r.name, "name", name, "targets", len(found))
	}
	if !same {
		f.adopt(r, p, f.now())
		f.gather()
		f.nudge()
	}
}

func (f *Fleet) unresolved(group, name string, err error, known int) {
	f.config.Logger.Warn("name is not resolved; its targets stay as they are", "target_group", group, "name", name, "targets", known, "error", err.Error())
}
