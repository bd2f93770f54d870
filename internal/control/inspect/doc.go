// Package inspect finds what is wrong with the files of a trust store before a
// gateway, or AWS, does.
//
// What a gateway would refuse is a fault. What it would take, but somebody
// should look at, is a warning: certificates that end soon, one CA twice, what
// AWS's quotas do not allow.
package inspect
