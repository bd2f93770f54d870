// Package lists measures what a revocation list takes of a process that reads it.
//
// What a server takes for its list is seen from outside as well, among all else
// that it does. Here nothing else is done: the process notes its resident memory
// and CPU time, reads the list as countersign does, notes both again, and looks
// serial numbers up.
package lists
