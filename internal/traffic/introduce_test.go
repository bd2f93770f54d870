package traffic_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

// behindBalancer is fleetConfig at a node with a balancer in front of it, on the
// same machine.
func behindBalancer(accept, from string) string {
	return with(fleetConfig, `protocol: https`, fmt.Sprintf("protocol: https\n    proxy_protocol: {accept: %s, from: %q}", accept, from))
}

// plainBehindBalancer is behindBalancer without TLS.
func plainBehindBalancer(accept, from string) string {
	return with(behindBalancer(accept, from), "protocol: https", "protocol: http",
		"    certificates: [{cert: server.crt, key: server.key}]\n", "",
		"    client_auth: {mode: verify, trust_store: fleet}\n", "", "    identity_headers: [aws]\n", "",
		"trust_stores:\n  - name: fleet\n    ca_bundle: [ca.crt]\n", "")
}

const headerV1 = "PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\n"

// headerV2 is a header of version 2 with that command, and body.
func headerV2(command, family byte, body string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
}

const ends = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x92\x01\xbb" // those of headerV1

func field(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// An announced connection sends header in one segment with its first bytes.
type announced struct {
	net.Conn
	header string
}

func (c *announced) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append([]byte(c.header), p...))
	n -= len(c.header)
	c.header = ""
	return max(n, 0), err
}

// announce connects with header before the first byte, and then with TLS.
func (r *rig) announce(header string, cert *testpki.Certificate) (*client, error) {
	shown := cert.TLS()
	conn := tls.Client(&announced{r.plain("127.0.0.1:0").conn, header}, &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }})
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	return &client{t: r.t, conn: conn, in: bufio.NewReader(conn), host: "localhost"}, nil
}

func TestTheAddressThatABalancerTellsIsTheClients(t *testing.T) {
	for name, header := range map[string]string{
		"version 1": headerV1,
		"version 2": headerV2(0x21, 0x11, ends+field(0x02, "api.example.com")+field(0x05, "conn-7")+field(0xea, "\x01vpce-1a2b")),
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, behindBalancer("required", "127.0.0.0/8"))
			c, err := r.announce(header, r.root.Client("MacID-1"))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the connection is no other one afterward
				if got := c.get("X-Forwarded-For: 203.0.113.9").served(t)["X-Forwarded-For"]; len(got) != 1 || got[0] != "203.0.113.9, 192.0.2.1" {
					t.Errorf("X-Forwarded-For: %q", got)
				}
			}
			peer := c.conn.(*tls.Conn).NetConn().(*announced).LocalAddr().(*net.TCPAddr)
			for _, log := range []string{"connection", "access"} {
				line := r.journal.wait(t, event{"event": log})
				if !line.has(event{"client_ip": "192.0.2.1", "client_port": 4242, "proxy_ip": "127.0.0.1", "proxy_port": peer.Port,
					"proxy_destination_ip": "198.51.100.2", "proxy_destination_port": 443}) {
					t.Errorf("the %s log says %v", log, line)
				}
				if name == "version 2" && !line.has(event{"proxy_version": 2, "proxy_authority": "api.example.com", "proxy_unique_id": "conn-7", "proxy_vpc_endpoint": "vpce-1a2b"}) {
					t.Errorf("the %s log says %v", log, line)
				}
			}
		})
	}
}

func TestABalancerThatSpeaksForItselfHasItsOwnAddress(t *testing.T) {
	for name, header := range map[string]string{"LOCAL": headerV2(0x20, 0, ""), "UNKNOWN": "PROXY UNKNOWN\r\n"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, behindBalancer("required", "127.0.0.1"))
			c, err := r.announce(header, r.root.Client("MacID-1"))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.get().served(t).Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("X-Forwarded-For: %q", got)
			}
		})
	}
}

func TestWithoutTLSAHeaderIsTakenToo(t *testing.T) {
	for _, accept := range []string{"optional", "required"} {
		r := start(t, plainBehindBalancer(accept, "127.0.0.1"))
		c := r.plain("127.0.0.1:0")
		c.conn = &announced{c.conn, headerV1}
		if got := c.get().served(t).Get("X-Forwarded-For"); got != "192.0.2.1" {
			t.Errorf("%s: X-Forwarded-For: %q", accept, got)
		}
	}
}

func TestWhereAHeaderIsOptionalNobodyNeedsOne(t *testing.T) {
	for name, from := range map[string]string{"a balancer": "127.0.0.1", "anybody else": "192.0.2.0/24"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, behindBalancer("optional", from))
			if got := r.dial(r.root.Client("MacID-1")).get().served(t).Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("X-Forwarded-For: %q", got)
			}
			plain := start(t, plainBehindBalancer("optional", from))
			c := plain.plain("127.0.0.1:0")
			io.WriteString(c.conn, "P") // which begins a header, and POST
			io.WriteString(c.conn, "OST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
			if got := c.reply().served(t).Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("X-Forwarded-For: %q", got)
			}
		})
	}
}

func TestAConnectionThatIsNotAnnouncedAsItMustBeIsClosedWithAReason(t *testing.T) {
	hello := "\x16\x03\x01\x00\x05hello"
	for name, c := range map[string]struct{ accept, from, sent, code string }{
		"no header":                           {"required", "127.0.0.1", hello, "ProxyHeaderMissing"},
		"no header, plain HTTP":               {"required", "127.0.0.1", "GET / HTTP/1.1\r\n\r\n", "ProxyHeaderMissing"},
		"a peer that is not named":            {"required", "192.0.2.0/24", headerV1 + hello, "ProxyHeaderUntrusted"},
		"a peer that is not named, no header": {"required", "192.0.2.0/24", hello, "ProxyHeaderUntrusted"},
		"an optional header of a stranger":    {"optional", "192.0.2.0/24", headerV1 + hello, "ProxyHeaderUntrusted"},
		"the same, of version 2":              {"optional", "192.0.2.0/24", headerV2(0x21, 0x11, ends) + hello, "ProxyHeaderUntrusted"},
		"a stranger's LOCAL":                  {"optional", "192.0.2.0/24", headerV2(0x20, 0, "") + hello, "ProxyHeaderUntrusted"},
		"a stranger's nonsense":               {"optional", "192.0.2.0/24", "PROXY nonsense\r\n" + hello, "ProxyHeaderUntrusted"},
		"an unknown version":                  {"optional", "127.0.0.1", headerV2(0x31, 0x11, ends) + hello, "ProxyHeaderInvalid"},
		"a wrong CRC32C":                      {"optional", "127.0.0.1", headerV2(0x21, 0x11, ends+field(3, "\x00\x00\x00\x00")) + hello, "ProxyHeaderInvalid"},
		"a TLV beyond the end":                {"required", "127.0.0.1", headerV2(0x21, 0x11, ends+"\x02\xff\xff") + hello, "ProxyHeaderInvalid"},
		"64 KiB of TLVs":                      {"required", "127.0.0.1", headerV2(0x21, 0x11, ends+field(0xe0, strings.Repeat("x", 60000))), "ProxyHeaderInvalid"},
		"version 1 without its end":           {"required", "127.0.0.1", "PROXY TCP4 " + strings.Repeat("1", 200), "ProxyHeaderInvalid"},
		"the wrong family":                    {"required", "127.0.0.1", "PROXY TCP6 192.0.2.1 198.51.100.2 4242 443\r\n" + hello, "ProxyHeaderInvalid"},
		"a header behind a header":            {"required", "127.0.0.1", headerV1 + headerV1 + hello, "ProxyHeaderInvalid"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, behindBalancer(c.accept, c.from))
			conn := r.plain("127.0.0.1:0")
			io.WriteString(conn.conn, c.sent)
			conn.ended()
			line := r.journal.wait(t, event{"event": "connection"})
			if !line.has(event{"denial_stage": "accept", "denial_code": c.code, "client_ip": "127.0.0.1"}) || line["denial_reason"] == "" {
				t.Errorf("the log says %v, want %s", line, c.code)
			}
			r.stop()
			if all, _ := r.journal.of(nil); len(all) != 1 {
				t.Errorf("%d lines: %v", len(all), all)
			}
		})
	}
}

func TestSilenceInPlaceOfAHeaderIsCut(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "half a signature": "PRO", "half a header": headerV1[:20], "half of version 2": headerV2(0x21, 0x11, ends)[:20]} {
		for _, accept := range []string{"required", "optional"} {
			t.Run(name+", "+accept, func(t *testing.T) {
				r := start(t, with(behindBalancer(accept, "127.0.0.1"), "accept:", "timeout: 50ms, accept:"))
				c := r.plain("127.0.0.1:0")
				io.WriteString(c.conn, sent)
				c.ended()
				if line := r.journal.wait(t, event{"event": "connection"}); !line.has(event{"denial_code": "ProxyHeaderTimeout"}) {
					t.Errorf("the log says %v", line)
				}
			})
		}
	}
}

// What a balancer asks by connecting is answered by being connected to.
func TestAConnectionWithoutAWordLeavesNoLine(t *testing.T) {
	r := start(t, behindBalancer("required", "127.0.0.1"))
	c := r.plain("127.0.0.1:0")
	c.conn.(*net.TCPConn).CloseWrite()
	c.ended()
	r.stop()
	if all, _ := r.journal.of(nil); len(all) > 0 {
		t.Errorf("%v", all)
	}
}

func TestADrainDoesNotWaitForHeaders(t *testing.T) {
	r := start(t, with(behindBalancer("required", "127.0.0.1"), "accept:", "timeout: 1h, accept:"))
	c := r.plain("127.0.0.1:0")
	io.WriteString(c.conn, "PROXY ")
	for r.node.Connections() == 0 {
		runtime.Gosched()
	}
	r.stop()
	c.ended()
}

// Where no header is accepted none is understood, and none reaches a backend.
func TestWithoutARuleAHeaderIsNonsense(t *testing.T) {
	for name, config := range map[string]string{"https": fleetConfig, "http": with(plainBehindBalancer("off", "127.0.0.1"), `, from: "127.0.0.1"`, "")} {
		for version, header := range map[string]string{"1": headerV1, "2": headerV2(0x21, 0x11, ends)} {
			t.Run(name+", version "+version, func(t *testing.T) {
				r := start(t, config)
				c := r.plain("127.0.0.1:0")
				io.WriteString(c.conn, header+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				answer, _ := io.ReadAll(c.in)
				if strings.Contains(string(answer), " 200 ") {
					t.Errorf("answered %q", answer)
				}
			})
		}
	}
}

// The connection is what it would be without a header: silent, it is parked, and
// served again.
func TestAnAnnouncedConnectionIsParkedLikeAnyOther(t *testing.T) {
	r := start(t, behindBalancer("required", "127.0.0.1"))
	c, err := r.announce(headerV1, r.root.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := c.get().served(t).Get("X-Forwarded-For"); got != "192.0.2.1" {
			t.Errorf("X-Forwarded-For: %q", got)
		}
		r.parked(1)
	}
}

func TestWhoIsBelievedIsAskedOfNewConnections(t *testing.T) {
	r := start(t, behindBalancer("required", "127.0.0.1"))
	c, err := r.announce(headerV1, r.root.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	r.publish(behindBalancer("required", "192.0.2.0/24"))
	if got := c.get().served(t).Get("X-Forwarded-For"); got != "192.0.2.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if _, err := r.announce(headerV1, r.root.Client("MacID-1")); err == nil {
		t.Error("a balancer that is not named any more is believed")
	}
	r.journal.wait(t, event{"denial_code": "ProxyHeaderUntrusted"})
}
