// Package dn prints X.509 distinguished names the way OpenSSL does.
//
// A backend that reads a subject from a header compares it with text that
// somebody once copied from `openssl x509 -noout -subject -nameopt RFC2253`, from
// nginx's $ssl_client_s_dn or from an AWS load balancer. All three are OpenSSL's
// X509_NAME_print_ex with XN_FLAG_RFC2253, hence so is this, byte for byte.
// pkix.Name.String differs in order, in attribute names, in escaping.
//
// Input is DER from the network. What OpenSSL would not load is refused, never
// repaired, because a name that two readers see differently is a way in.
package dn
