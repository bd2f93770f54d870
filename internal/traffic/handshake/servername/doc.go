// Package servername knows when two spellings name the same server.
package servername
