// Package layer4 holds a gateway to what other people's programs make of the identity
// that it passes on by PROXY headers, and of the bytes that it carries.
package layer4
