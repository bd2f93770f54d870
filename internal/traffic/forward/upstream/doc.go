// Package upstream holds the targets that requests are forwarded to.
//
// A Fleet owns everything that lives longer than a configuration: the health
// checks, the connections, the counters of each Target. Apply tells it what a
// new configuration wants and returns a Group per name, which is what a
// snapshot keeps. Targets that stay are not disturbed, new ones are checked at
// once, removed ones drain.
//
// A roster has the targets of a group, and the ring of those that may be picked
// now: it is made anew whenever package shares says another thing of them.
//
// The path of a request is Group.Pick, Target.Get, the exchange over the pool.Conn,
// its Release. Pick takes no lock, Get and Release one short one per target;
// with an idle connection at hand none of them allocates. A Target that speaks
// HTTP/2 has Target.Stream and Release of h2pool.Stream in their place: its
// connections are shared by many exchanges at once.
package upstream
