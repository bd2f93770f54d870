// Package founding makes a new authority.
package founding
