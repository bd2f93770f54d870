// Package fieldsection judges the field sections of HTTP/2: whether a head or
// trailers that were decoded have the form that RFC 9113 section 8 demands, and
// what they say.
//
// What is wrong with a message is told in two kinds. Malformed is what HTTP/2
// alone forbids (section 8.1.1); everything else is judged by http1.Compose, as
// in HTTP/1.1.
package fieldsection
