// Package clienthello reads the server name out of a ClientHello that goes on to
// somebody else (RFC 8446 section 4.1.2, RFC 6066 section 3).
//
// What it finds was said in the clear, by anybody: it says where a client wants to
// go, and proves nothing. Of a client that hides its name behind another (ECH, RFC
// 9849) the other is what is seen.
package clienthello
