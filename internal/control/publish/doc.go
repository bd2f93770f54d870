// Package publish turns a configuration file into the snapshot in force.
//
// Compile reads every file the configuration names, checks all of it, starts
// nothing. A Publisher does the rest in an order that can fail only while
// nothing has changed: compile, open what has to be opened, swap. It watches the
// files, and keeps the last good snapshot when a change is not good.
package publish
