// Package succession has one authority follow another, so that whoever believed the
// one believes the other.
package succession
