// Package reach makes connections to a target.
//
// A Way knows how one target is reached under the configuration in force: at
// which address, and how it is proved over TLS. Connect goes it. What a
// connection is used for, and by how many, is for others.
package reach
