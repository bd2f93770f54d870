// Package layer4 holds a gateway to what other people's programs make of what it passes on at layer 4:
// the identity in PROXY headers, the bytes behind them.
package layer4
