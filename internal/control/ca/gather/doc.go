// Package gather has callers that wait for the same work share one run of it.
//
// A disk syncs a thousand records as fast as one, a list is signed as fast for
// a thousand revocations as for one: whoever comes while a run is under way is
// part of the next. It needs no goroutine of its own: one of those who wait
// does the work for all.
package gather
