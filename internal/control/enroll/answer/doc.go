// Package answer writes what enrollment tells a device in HTTP: a certificate in PKCS
// #7, or a problem document.
package answer
