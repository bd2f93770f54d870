// Package background has long work let traffic go first.
package background
