// Package private keeps the connections to targets that are one client's alone.
//
// They begin with a PROXY header that tells the target of the client, which holds
// for all that comes behind it. A Client is those of one client, a Target those to
// one target; where both meet there is an Own with a pool. Either may end first.
package private
