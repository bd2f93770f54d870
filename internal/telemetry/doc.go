// Package telemetry is what the program tells its operator about itself.
//
// That is the program's own log (NewLogger), the numbers at /metrics (Metrics)
// and what it takes of the machine (ApplyLimits, Descriptors). What happened to a
// connection or a request is told in internal/traffic/accesslog.
//
// No label is ever made from something a client sends: the number of series
// follows from the configuration.
package telemetry
