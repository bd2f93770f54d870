// Package device is the registry of devices.
//
// It knows how an id is spelled, which state may follow which, what an import may
// hold. Keeping it is the store's.
package device
