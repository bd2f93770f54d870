// Package accesslog writes what happened: one line per connection, one per exchange.
//
// A stage of the pipeline fills an event; one goroutine per Log turns events
// into lines and writes many of them at once, so that traffic never waits for a
// disk. When the queue is full an event is dropped and counted: a log that
// cannot keep up loses lines, never requests.
//
// # Formats
//
// The format aws is that of the Application Load Balancer's user guide: 15
// space-separated fields for a connection ("Connection logs"), 34 for a request
// ("Access logs"). Where its fields speak of AWS, they say:
//
//	elb               app/LISTENER/ID, ID being 16 hex digits made from the listener's name
//	target_group_arn  the target group's name
//	chosen_cert_arn   the name of the server certificate; session-reused after a resumption, as on AWS
//	error_reason      the denial's code
//	tls_verify_status Success, or Failed:CODE; a code that AWS does not have is Failed:UnmappedConnectionError
//	ip_address        the local address of the connection
//
// The format json says everything, our own codes and the reason in words
// included; what is unknown is left out. Times are RFC 3339 in UTC, durations
// seconds. The format combined is Apache's, for requests only; the user is the
// common name of a verified certificate, the bytes are all that were sent.
//
// # Escaping
//
// Names in certificates, paths and header fields are chosen by strangers. In
// aws and combined every byte below 0x20 or above 0x7e, the quotation mark and
// the backslash are written \xHH, as nginx and AWS do, and in a field without
// quotes the space too; in json everything that is not printable ASCII is
// \uHHHH. A line therefore is always one line of printable ASCII with its exact
// number of fields, even for a tokenizer that knows no escapes.
package accesslog
