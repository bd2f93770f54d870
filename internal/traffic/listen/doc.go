// Package listen accepts connections on sockets that outlive a configuration.
package listen
