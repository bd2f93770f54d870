// Package devices says whether the device that a client is may be served.
//
// What is known of a device is read at every request and never waited for there:
// a Register, which the control plane implements, keeps it up to date.
package devices
