// Package postgres is a store that several nodes share.
package postgres
