// Package fieldsection judges the field sections of HTTP/2, once they are
// decoded, by what RFC 9113 section 8 demands of a message.
//
// What is wrong is told in two kinds. Malformed is what HTTP/2 alone forbids
// (section 8.1.1); everything else is judged by http1.Compose, as in HTTP/1.1.
package fieldsection
