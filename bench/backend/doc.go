// Package backend is the server behind the servers that are compared.
//
// It does as little as a backend can: it reads a head, skips the body, writes
// an answer that was rendered beforehand. It allocates nothing for a request,
// so that what is measured is what stands in front of it.
package backend
