// Package credential makes the secrets that operators hand out.
package credential
