// Package request reads what somebody asks an authority to certify.
//
// A certificate signing request (RFC 2986) is untrusted input: it is bounded,
// its signature must prove possession of the key, and of the extensions it
// wishes for only well-formed names are taken over. Everything else is either
// what the profile gives anyway, or ignored with a note, or the reason to
// refuse. What an operator types (a subject in RFC 4514 form, names as
// "dns:host") becomes the same values.
package request
