// Package store says what has to be kept for as long as there are devices.
//
// Each noun has a small interface; each backend below implements them in its own
// SQL, held to one suite, storetest. Every change is written in one transaction
// with the entry of the trail that tells of it, and with the line of the change
// log by which nodes learn of it.
package store
