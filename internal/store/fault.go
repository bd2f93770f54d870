package store

import "errors"

// What went wrong, for errors.Is. An error of a store says besides what was being
// done and what to do about it.
var (
	ErrUnknown    = errors.New("not in the registry")
	ErrExists     = errors.New("already in the registry")
	ErrCursorLost = errors.New("the change log does not reach back that far")
	ErrBusy       = errors.New("the database is locked by another process")
	ErrFull       = errors.New("the database is full")
	ErrAway       = errors.New("the database cannot be reached")
	ErrRefused    = errors.New("the database refuses it")
	ErrTooNew     = errors.New("the database is of a newer version of this program")
	ErrQuery      = errors.New("not a page of this listing")
)

// A Fault is an error of a database, for people.
type Fault struct {
	Doing  string // what was being done: importing devices
	Kind   error  // one of the above
	Err    error  // what the database said
	Advice string
}

func (f *Fault) Error() string {
	s := f.Doing + ": " + f.Kind.Error()
	if f.Err != nil {
		s += " (" + f.Err.Error() + ")"
	}
	if f.Advice != "" {
		s += ": " + f.Advice
	}
	return s
}

// Unwrap lets errors.Is find the kind, and errors.As what the driver said.
func (f *Fault) Unwrap() []error {
	if f.Err == nil {
		return []error{f.Kind}
	}
	return []error{f.Kind, f.Err}
}
