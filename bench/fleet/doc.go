// Package fleet is the registry of devices under measurement.
//
// List is what is imported, Pages reads it through the management API, and Spec
// looks devices up as a node does for one that connects.
package fleet
