// Package authorize decides whether an identified client may have the action
// that its request was routed to.
//
// It alone can make a Grant. Forwarding demands one, so a path through the code
// that forgets to ask is a path that cannot forward.
package authorize
