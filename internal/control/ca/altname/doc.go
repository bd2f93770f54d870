// Package altname says which subject alternative names are well-formed.
package altname
