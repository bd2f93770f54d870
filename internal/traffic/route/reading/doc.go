// Package reading has the ways in which a target may read a path.
//
// A rule is about what a target serves, and targets differ in what they take for
// the same: some resolve "..", some decode %2F, some cut off ";parameters". A path
// that leads to different rules, depending on how it is read, was made to.
package reading
