// Package traffic is the data plane: what happens to a connection.
//
// pipeline.go is the order of it, written once. Each stage is a package beneath
// this one that makes a value only it can make (verify.Chain, identify.Client,
// authorize.Grant); the next stage demands that value.
//
// Traffic reads one immutable snapshot.Snapshot at a time, and imports neither
// the control plane nor a store.
package traffic
