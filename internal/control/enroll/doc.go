// Package enroll hands certificates to devices, to each its own, once.
//
// A device that comes with the certificate that all devices are made with names
// itself, and shows by a claim that it is the one; a device that has its own
// certificate renews it. What is given to whom is decided in one transaction
// before the certificate is issued: it belongs to a key from then on, so that of
// many who come at the same time one alone is served, and whoever was interrupted
// may come again with the same key until the certificate is used.
package enroll
