// Package live ends the connections whose clients are no longer accepted.
//
// A Registry knows every admitted connection by what its admission rests on: the
// listener, the trust store, the client's certificate and each certificate above
// it, and the instant at which time alone may end it. So the few that a change
// concerns are found without looking at all the others. What is found is only
// suspected: an Enforcer has each suspect asked, by the one function that
// decides about clients, and ends those that are refused.
package live
