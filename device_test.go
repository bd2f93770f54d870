package countersign

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// table reads the documentation's: rows are states, columns verbs, in the order of
// States and Transitions.
func table(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("docs/use/devices.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| ") && len(rows) < 1+len(States()) {
			cells := strings.Split(strings.Trim(line, "| \n"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestADeviceChangesStateAsTheTableSays(t *testing.T) {
	rows := table(t)
	if len(rows) == 0 {
		t.Fatal("the documentation has no table")
	}
	verbs := rows[0]
	if len(rows)-1 != len(States()) || len(verbs) != len(Transitions()) {
		t.Fatalf("the table has %d states and %d verbs, the program %d and %d", len(rows)-1, len(verbs), len(States()), len(Transitions()))
	}
	for i, tr := range Transitions() {
		if verbs[i] != tr.Verb {
			t.Errorf("column %d of the table is %s, want %s", i, verbs[i], tr.Verb)
		}
	}
	for _, cells := range rows[1:] {
		from, err := ParseState(cells[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, verb := range verbs {
			got, err := Change(verb, from)
			switch want := cells[i+1]; {
			case want == "-" && err == nil:
				t.Errorf("%s of a device that is %s leads to %s, want a refusal", verb, from, got.To)
			case want != "-" && (err != nil || got.To != State(want)):
				t.Errorf("%s of a device that is %s leads to %s (%v), want %s", verb, from, got.To, err, want)
			}
		}
	}
}

func TestARefusedChangeSaysWhatIsPossible(t *testing.T) {
	for _, c := range []struct {
		verb string
		from State
		want string
	}{
		{"resume", DeviceActive, "a device that is active cannot be resumed: that is for one that is suspended"},
		{"ready", DeviceActive, "a device that is active cannot be made ready: that is for one that is provisioned or revoked"},
		{"delete", DeviceRetired, `"delete" is nothing that is done to a device: for one that is retired there is revoke`},
	} {
		_, err := Change(c.verb, c.from)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s from %s: %v, want %s", c.verb, c.from, err, c.want)
		}
	}
	if _, err := ParseState("Active"); err == nil || !strings.Contains(err.Error(), "revoked or retired") {
		t.Errorf("ParseState(Active): %v, want the states that there are", err)
	}
}

// What ends a device's trust ends that of its certificates.
func TestCredentialsEndWithRevocationAndRetirement(t *testing.T) {
	var ends []string
	for _, tr := range Transitions() {
		if tr.EndsCredentials {
			ends = append(ends, tr.Verb)
		}
	}
	if !slices.Equal(ends, []string{"revoke", "retire"}) {
		t.Errorf("credentials end with %v", ends)
	}
}
