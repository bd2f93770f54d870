// Package shares decides how much of the requests of its group each target is to
// have.
//
// A Group is the targets of one group under the Rules of its configuration. It
// is told of the results of health checks, and each Target of what became of its
// exchanges. From these, and as time passes, Group.Choose says which targets may
// be picked, Group.Weight how much each of them is to have: one that has just
// become healthy less than one that is so for long, one that fails more than the
// others less than they, one that fails all the time nothing for a while. How
// they are picked then is for package balance.
//
// Whoever has a Group locks it, together with its Targets. Target.Report alone
// is for everybody, and takes no lock.
package shares
