// Package spool sorts the rows of an import within bounded memory.
package spool
