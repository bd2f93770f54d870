// Package keepalive notices TCP peers that are gone without a word.
package keepalive
