// Package pemfile reads PEM files that hold exactly one thing.
//
// A file with two keys, a certificate where a key is expected, a key that
// others may read: each is refused with the sentence that says so. Encoding is
// here too, so that what is written is what is read.
package pemfile
