// Package authority is an issuing authority under measurement.
package authority
