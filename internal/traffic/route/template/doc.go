// Package template makes the text of a redirect or a rewrite out of the request.
package template
