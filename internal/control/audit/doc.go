// Package audit keeps the trail of what operators change.
//
// A trail is a file of JSON lines, append-only. Each line carries the SHA-256 of
// the line before, so that a line cannot be changed, taken out or put in without
// changing all that follow. What a chain alone cannot show is a trail whose end
// is missing, or that was written anew from some point on: for that, every line's
// digest also goes to the program log, and Verify looks for one that was seen.
package audit
