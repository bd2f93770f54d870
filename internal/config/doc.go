// Package config is the configuration file: the struct Config is its manual.
//
// Every key is a field, commented with its meaning, its unit, its default. What
// a Config holds is ready for use: defaults are filled in, words are checked,
// durations are durations, sizes are bytes, one value alone is a list of one,
// paths of files are joined to the directory of the configuration, names are in
// lower case where case does not matter.
//
// A file with any fault gives no Config at all, but all its faults. A key that
// exists, but is not supported yet, is a field of type later.
package config
