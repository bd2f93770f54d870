package traffic_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"countersign.dev/internal/wire/proxyproto"
)

// behindBalancerBytes is a listener for bytes with a balancer in front of it.
func behindBalancerBytes(config, accept, from string) string {
	rule := fmt.Sprintf("    proxy_protocol: {accept: %s, from: %q}\n    default:", accept, from)
	return with(config, "    default:", rule)
}

// Whatever the listener carries, a connection that is not announced as it must be
// ends before a byte of it is looked at, with one line that says why.
func TestAMalformedProxyHeaderEndsTheConnectionWithOneLineOnEveryProtocol(t *testing.T) {
	const named, others = "127.0.0.1", "192.0.2.0/24"
	protocols := map[string]func(accept, from string) string{
		"https": behindBalancer,
		"http":  plainBehindBalancer,
		"tls":   func(accept, from string) string { return behindBalancerBytes(streamConfig, accept, from) },
		"tcp":   func(accept, from string) string { return behindBalancerBytes(tcpConfig, accept, from) },
	}
	v2 := func(body string) string { return headerV2(0x21, 0x11, body) }
	faults := map[string]struct{ from, sent, code, reason string }{
		"version 2, too short for its addresses": {named, v2(ends[:8]), "ProxyHeaderInvalid", ""},
		"version 2, cut off":                     {named, v2(ends)[:20], "ProxyHeaderTimeout", "did not end"},
		"version 1, too short":                   {named, "PROXY TCP4\r\n", "ProxyHeaderInvalid", ""},
		"version 1, too long":                    {named, "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n", "ProxyHeaderInvalid", ""},
		"version 1 without CRLF":                 {named, strings.TrimSuffix(headerV1, "\r\n") + strings.Repeat(" ", 107), "ProxyHeaderInvalid", ""},
		"version 1 with LF alone":                {named, strings.TrimSuffix(headerV1, "\r\n") + "\n" + strings.Repeat("x", 107), "ProxyHeaderInvalid", ""},
		"version 1 that never ends":              {named, strings.TrimSuffix(headerV1, "\r\n"), "ProxyHeaderTimeout", "did not end"},
		"version 1, the wrong family":            {named, "PROXY TCP6 192.0.2.1 198.51.100.2 4242 443\r\n", "ProxyHeaderInvalid", ""},
		"version 1, IPv6 as TCP4":                {named, "PROXY TCP4 2001:db8::1 2001:db8::2 4242 443\r\n", "ProxyHeaderInvalid", ""},
		"version 2, IPv4 addresses as IPv6":      {named, headerV2(0x21, 0x21, ends), "ProxyHeaderInvalid", ""},
		"a wrong CRC32C":                         {named, v2(ends + field(proxyproto.TypeCRC32C, "\x00\x00\x00\x00")), "ProxyHeaderInvalid", "CRC32C"},
		"a CRC32C of two bytes":                  {named, v2(ends + field(proxyproto.TypeCRC32C, "\x00\x00")), "ProxyHeaderInvalid", "CRC32C"},
		"an unknown version":                     {named, headerV2(0x31, 0x11, ends), "ProxyHeaderInvalid", "version"},
		"an unknown command":                     {named, headerV2(0x22, 0x11, ends), "ProxyHeaderInvalid", "command"},
		"a TLV beyond the end":                   {named, v2(ends + "\x02\xff\xffx"), "ProxyHeaderInvalid", ""},
		"a TLV without a length":                 {named, v2(ends + "\x02\x00"), "ProxyHeaderInvalid", ""},
		"64 KiB of TLVs":                         {named, v2(ends + field(0xe0, strings.Repeat("x", 65535-len(ends)-3))), "ProxyHeaderInvalid", ""},
		"64 KiB of empty TLVs":                   {named, v2(ends + strings.Repeat("\xe0\x00\x00", 21841)), "ProxyHeaderInvalid", ""},
		"version 1 in version 1":                 {named, headerV1 + headerV1, "ProxyHeaderInvalid", "another"},
		"version 2 in version 2":                 {named, v2(ends) + v2(ends), "ProxyHeaderInvalid", "another"},
		"version 2 in version 1":                 {named, headerV1 + v2(ends), "ProxyHeaderInvalid", "another"},
		"a good one from elsewhere":              {others, headerV1, "ProxyHeaderUntrusted", "127.0.0.1"},
		"a LOCAL one from elsewhere":             {others, headerV2(0x20, 0, ""), "ProxyHeaderUntrusted", "127.0.0.1"},
		"nonsense from elsewhere":                {others, "PROXY nonsense\r\n", "ProxyHeaderUntrusted", "127.0.0.1"},
		"silence":                                {named, "", "ProxyHeaderTimeout", "nothing"},
		"half a signature, then silence":         {named, "PRO", "ProxyHeaderTimeout", "nothing"},
	}
	for protocol, config := range protocols {
		t.Run(protocol, func(t *testing.T) {
			for name, f := range faults {
				for _, accept := range []string{"required", "optional"} {
					t.Run(name+", "+accept, func(t *testing.T) {
						waits := "30s"
						if f.code == "ProxyHeaderTimeout" {
							waits = "50ms"
						}
						r := start(t, with(config(accept, f.from), "accept:", "timeout: "+waits+", accept:"))
						c := r.plain("127.0.0.1:0")
						io.WriteString(c.conn, f.sent) // it may be closed before all is written
						c.ended()
						r.stop()
						all, _ := r.journal.of(nil)
						if len(all) != 1 || !all[0].has(event{"event": "connection", "denial_stage": "accept", "denial_code": f.code, "client_ip": "127.0.0.1"}) ||
							!strings.Contains(fmt.Sprint(all[0]["denial_reason"]), f.reason) {
							t.Errorf("the logs say %v; want one line with %s (%s)", all, f.code, f.reason)
						}
					})
				}
			}
		})
	}
}
