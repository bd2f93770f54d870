// Package snapshot is the immutable view of the configuration that traffic reads.
//
// The control plane builds a Snapshot whole, or not at all, and publishes it
// with one pointer swap. Nothing in it changes afterwards; what lives (a
// target's health, a log's file) is reached through it but owned elsewhere.
package snapshot
