// Package watch tells when the content behind a set of file names has changed.
//
// A name is followed the way it is read: a file replaced by rename, a symbolic
// link turned to another target, a directory link swapped above it (as
// Kubernetes does with a mounted secret) are all changes. Files that do not
// exist yet are watched for, too.
package watch
