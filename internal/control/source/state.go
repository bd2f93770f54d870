package source

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/source/origin"
)

// A State is how things stand with a source.
type State struct {
	Name     string
	Copy     *Copy     // the last good one; nil: there is none. Of Look alone
	Fetched  time.Time // when that was fetched
	Checked  time.Time // when it was last known to be what the server has
	Due      time.Time // the next fetch, unless something is in a hurry
	Failures uint64    // since the program started
	Fault    string    // why the last fetch failed, or what it brought is refused
}

// notes are what a node writes down beside a kept copy, for others to read.
type notes struct {
	Checked  time.Time `json:"checked,omitzero"`
	Due      time.Time `json:"due"`
	Failures uint64    `json:"failures"`
	Fault    string    `json:"fault,omitempty"`
}

// States returns those of the sources of the configuration in force.
func (k *Keeper) States() []State {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []State
	for _, s := range k.sources {
		if !s.used {
			continue
		}
		state := State{Name: s.spec.Name(), Checked: s.checked, Due: s.due, Failures: s.failures, Fault: s.says()}
		if s.kept != nil {
			state.Fetched = s.kept.Fetched
		}
		all = append(all, state)
	}
	return all
}

func (s *source) says() string {
	switch {
	case s.fault != nil:
		return s.fault.Error()
	case s.refused != nil:
		return "refused: " + s.refused.Error()
	}
	return ""
}

// note writes down how things stand; the caller holds the lock.
func (k *Keeper) note(s *source) {
	if k.dir == "" || k.cfg.Fleeting {
		return
	}
	text, err := json.Marshal(notes{s.checked.UTC(), s.due.UTC(), s.failures, s.says()})
	if err == nil {
		err = durable.WriteFile(notesOf(pathOf(k.dir, s.spec.Spec)), append(text, '\n'), 0o600)
	}
	if err != nil {
		k.cfg.Logger.Warn("the state of a source cannot be written down", "source", s.spec.Name(), "error", err)
	}
}

// Look says how things stand with a source, as the directory has it. The error
// says why a copy is of no use; its Copy is to be closed.
func Look(dir string, spec origin.Spec) (State, error) {
	c, err := load(pathOf(dir, spec), spec)
	s := State{Name: spec.Name(), Copy: c}
	if c != nil {
		s.Fetched, s.Checked = c.Fetched, c.Fetched
	}
	if n, noted := readNotes(pathOf(dir, spec)); noted == nil {
		s.Due, s.Failures, s.Fault = n.Due, n.Failures, n.Fault
		if n.Checked.After(s.Checked) {
			s.Checked = n.Checked
		}
	}
	return s, err
}

func notesOf(copyPath string) string { return strings.TrimSuffix(copyPath, ".copy") + ".json" }

func readNotes(copyPath string) (n notes, err error) {
	text, err := os.ReadFile(notesOf(copyPath))
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	return n, err
}
