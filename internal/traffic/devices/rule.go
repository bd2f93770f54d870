package devices

import "countersign.dev"

// A Mode is what a listener does about devices.
type Mode string

// The modes. Off is the absence of a Rule.
const (
	Annotate Mode = "annotate" // targets are told of the device, and decide
	Enforce  Mode = "enforce"  // active devices are served, nobody else
)

// A Rule is what a listener does about devices; nil: nothing. It must not change.
type Rule struct {
	Mode Mode
	// IDs finds the id of the device that a certificate names.
	IDs IDs
	// Bootstrap is the id in the certificate that devices are made with; "": none.
	Bootstrap string
	// Text is all of it as it was configured: rules with one text are one rule.
	Text string
}

// IDs are the ids of devices.
type IDs interface {
	// Of returns the id that a certificate names, or an error that says why it
	// names none.
	Of(*countersign.Identity) (string, error)
}

// Enforces reports whether clients are refused by the rule.
func (r *Rule) Enforces() bool { return r != nil && r.Mode == Enforce }

// Annotates reports whether targets are told of devices.
func (r *Rule) Annotates() bool { return r != nil && r.Mode == Annotate }

// Same reports whether two rules are one.
func (r *Rule) Same(other *Rule) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Text == other.Text
}
