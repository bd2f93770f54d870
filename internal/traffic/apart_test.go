package traffic_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	pires "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"countersign.dev/internal/traffic/forward/health"
)

// telling is fleetConfig with a target group of that protocol that tells everything.
func telling(protocol string) string {
	return with(fleetConfig, `targets: ["BACKEND"]`,
		`protocol: `+protocol+`, targets: ["BACKEND"], proxy_protocol: {tlvs: [ssl, ssl_client_cert, authority, alpn, unique_id, crc32c]}`)
}

// A hearing is what a target was told by a header, and of which connection.
type hearing struct {
	Conn                        string // of ours to it
	Client                      string
	ALPN, Authority, UniqueID   string
	Bits                        uint8
	Verify                      uint32
	Version, Cipher, CN, Header string
	Sig, Key, Scheme, Group     string
	Cert                        []byte
	Sum                         bool // CRC32C is right
}

// hearer is a backend that demands headers, and answers with what it was told. It
// reads them with the library alone.
func hearer(t testing.TB, http2 bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	type told struct{}
	protocols := new(nethttp.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	s := &nethttp.Server{
		Protocols: protocols,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, told{}, c)
		},
		Handler: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, q *nethttp.Request) {
			c := q.Context().Value(told{}).(*pires.Conn)
			h, err := heard(c)
			if err != nil {
				nethttp.Error(w, err.Error(), 500)
				return
			}
			h.Header = q.Header.Get("X-Amzn-Mtls-Clientcert-Subject")
			json.NewEncoder(w).Encode(h)
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(&pires.Listener{Listener: ln, ConnPolicy: func(pires.ConnPolicyOptions) (pires.Policy, error) { return pires.REQUIRE, nil }})
	}()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

func heard(c *pires.Conn) (h hearing, err error) {
	head := c.ProxyHeader()
	if head.Command.IsLocal() { // a health check
		return hearing{Client: "local"}, nil
	}
	h.Conn, h.Client = c.Raw().RemoteAddr().String(), head.SourceAddr.String()
	tlvs, err := head.TLVs()
	if err != nil {
		return h, err
	}
	for _, tlv := range tlvs {
		switch tlv.Type {
		case pires.PP2_TYPE_ALPN:
			h.ALPN = string(tlv.Value)
		case pires.PP2_TYPE_AUTHORITY:
			h.Authority = string(tlv.Value)
		case pires.PP2_TYPE_UNIQUE_ID:
			h.UniqueID = string(tlv.Value)
		case pires.PP2_TYPE_CRC32C:
			whole, err := head.Format()
			if err != nil {
				return h, err
			}
			sum := bytes.Clone(tlv.Value)
			whole = bytes.Replace(whole, append([]byte{3, 0, 4}, sum...), []byte{3, 0, 4, 0, 0, 0, 0}, 1)
			h.Sum = crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(sum)
		case pires.PP2_TYPE_SSL:
			ssl, err := tlvparse.SSL(tlv)
			if err != nil {
				return h, err
			}
			h.Bits, h.Verify = ssl.Client, ssl.Verify
			h.Version, _ = ssl.SSLVersion()
			h.Cipher, _ = ssl.SSLCipher()
			h.CN, _ = ssl.ClientCN()
			h.Sig, _ = ssl.SSLSigAlg()
			h.Key, _ = ssl.SSLKeyAlg()
			h.Scheme, _ = ssl.SSLSigScheme()
			h.Group, _ = ssl.SSLGroup()
			h.Cert, _ = ssl.ClientCert()
		}
	}
	return h, nil
}

func (p reply) heard(t testing.TB) (h hearing) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.body), &h); err != nil || p.StatusCode != 200 {
		t.Fatalf("got %d %q", p.StatusCode, p.body)
	}
	return h
}

func TestATargetIsToldOfTheClientBeforeItsFirstByte(t *testing.T) {
	r := startBefore(t, hearer(t, false), telling("http"))
	cert := r.root.Client("MacID-1")
	c := r.dial(cert)
	h := c.get().heard(t)
	line := r.journal.wait(t, event{"event": "connection"})
	if h.Client != c.conn.(*tls.Conn).NetConn().LocalAddr().String() || h.Authority != "localhost" || h.UniqueID != line["conn_trace_id"] || !h.Sum ||
		h.Bits != 7 || h.Verify != 0 || h.Version != "TLSv1.3" || h.Cipher != line["tls_cipher"] || h.Group != line["tls_keyexchange"] ||
		h.CN != "MacID-1" || !bytes.Equal(h.Cert, cert.X509.Raw) || h.Sig == "" || h.Key == "" || h.Scheme == "" {
		t.Errorf("the target was told %+v; the log says %v", h, line)
	}
}

// T25: a connection to a target on which one client was announced never carries
// another's request.
func TestNoConnectionToATargetIsSharedBetweenClientsThatAreAnnounced(t *testing.T) {
	for _, target := range []string{"http", "h2"} {
		for _, alpn := range []string{"http/1.1", "h2"} {
			t.Run("target "+target+", client "+alpn, func(t *testing.T) {
				r := startBefore(t, hearer(t, target == "h2"), telling(target))
				whose := map[string]string{} // of our connections to the target
				ask := func(name string) (get func() hearing) {
					if alpn == "h2" {
						c := r.dial2(r.root.Client(name))
						return func() hearing {
							got := c.get()
							return reply{&nethttp.Response{StatusCode: got.status}, got.body}.heard(t)
						}
					}
					c := r.dial(r.root.Client(name))
					return func() hearing { return c.get().heard(t) }
				}
				var clients []func() hearing
				for i := range 4 {
					clients = append(clients, ask(fmt.Sprintf("MacID-%d", i)))
				}
				for range 3 { // in turns, so that there is always an idle connection of somebody else
					for i, get := range clients {
						h, name := get(), fmt.Sprintf("MacID-%d", i)
						if h.CN != name || !strings.Contains(h.Header, name) {
							t.Errorf("the request of %s came on a connection of %q with headers of %q", name, h.CN, h.Header)
						}
						if had := whose[h.Conn]; had != "" && had != name {
							t.Errorf("%s and %s share a connection", had, name)
						}
						whose[h.Conn] = name
					}
				}
				// An HTTP/2 client has its answer before the connection that it came by is
				// free, so its next request may have to have another one.
				if more := alpn == "h2" && target == "http"; len(whose) < len(clients) || len(whose) > len(clients) && !more {
					t.Errorf("%d connections for %d clients", len(whose), len(clients))
				}
			})
		}
	}
}

func TestAResumedSessionIsToldApart(t *testing.T) {
	r := startBefore(t, hearer(t, false), telling("http"))
	cert, cache := r.root.Client("MacID-1"), tls.NewLRUClientSessionCache(1)
	again := func(c *tls.Config) { c.ClientSessionCache = cache }
	if h := r.dial(cert, again).get().heard(t); h.Bits != 7 {
		t.Errorf("a full handshake: %+v", h)
	}
	c := r.dial(cert, again)
	if !c.conn.(*tls.Conn).ConnectionState().DidResume {
		t.Fatal("not resumed")
	}
	if h := c.get().heard(t); h.Bits != 5 || h.Verify != 0 || h.CN != "MacID-1" || len(h.Cert) == 0 {
		t.Errorf("a resumed session: %+v", h)
	}
}

func TestWhoHasNoCertificateIsToldToHaveNone(t *testing.T) {
	r := startBefore(t, hearer(t, false), with(telling("http"), "mode: verify", "mode: optional"))
	if h := r.dial(nil).get().heard(t); h.Bits != 1 || h.Verify == 0 || h.CN != "" || len(h.Cert) > 0 {
		t.Errorf("%+v", h)
	}
}

// What is told holds for a connection: another identity is another connection.
func TestAnotherIdentityIsToldOnAnotherConnection(t *testing.T) {
	r := startBefore(t, hearer(t, false), with(telling("http"), "mode: verify", "mode: optional"))
	c := r.dial(r.root.Client("MacID-1"))
	verified := c.get().heard(t)
	r.publish(with(telling("http"), "mode: verify", "mode: optional", "name: devices", "name: devices # again"))
	if h := c.get().heard(t); h.Conn != verified.Conn {
		t.Error("another connection, though nothing has changed")
	}
	r.publish(with(telling("http"), "client_auth: {mode: verify, trust_store: fleet}", "client_auth: {mode: passthrough}",
		"trust_stores:\n  - name: fleet\n    ca_bundle: [ca.crt]\n", ""))
	if h := c.get().heard(t); h.Conn == verified.Conn || h.Verify == 0 || h.CN != "MacID-1" {
		t.Errorf("before %+v, now %+v", verified, h)
	}
}

func TestTheConnectionsOfAClientEndWithIt(t *testing.T) {
	left := make(chan string, 10)
	backend := byHand(t, func(conn net.Conn, in *bufio.Reader) {
		defer func() { left <- conn.RemoteAddr().String() }()
		for line, err := in.ReadString('\n'); ; line, err = in.ReadString('\n') {
			switch {
			case err != nil:
				return
			case line == "\r\n":
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	r := startBefore(t, backend, with(fleetConfig, `targets: ["BACKEND"]`, `targets: ["BACKEND"], proxy_protocol: {version: 1}`))
	c := r.dial(r.root.Client("MacID-1"))
	if got := c.get(); got.StatusCode != 200 {
		t.Fatal(got)
	}
	c.conn.Close()
	select {
	case <-left:
	case <-time.After(patience):
		t.Error("the connection to the target outlives the client's")
	}
}

// A client that came through a balancer is told of as the balancer told us.
func TestWhatABalancerToldIsToldOn(t *testing.T) {
	r := startBefore(t, hearer(t, false), with(telling("http"), "protocol: https", `protocol: https
    proxy_protocol: {accept: required, from: 127.0.0.1}`))
	c, err := r.announce(headerV1, r.root.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	if h := c.get().heard(t); h.Client != "192.0.2.1:4242" || h.CN != "MacID-1" {
		t.Errorf("%+v", h)
	}
}

func TestHealthChecksOfAnnouncedTargetsSpeakForThemselves(t *testing.T) {
	for version, want := range map[int]string{1: "PROXY UNKNOWN\r\n", 2: headerV2(0x20, 0, "")} {
		for _, check := range []string{"tcp", "http"} {
			t.Run(fmt.Sprintf("version %d, %s", version, check), func(t *testing.T) {
				began := make(chan string, 100)
				backend := byHand(t, func(conn net.Conn, in *bufio.Reader) {
					b := make([]byte, len(want))
					io.ReadFull(in, b)
					began <- string(b)
					if _, err := nethttp.ReadRequest(in); err == nil {
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					}
				})
				startBefore(t, backend, with(fleetConfig, `targets: ["BACKEND"]`, fmt.Sprintf(
					`targets: ["BACKEND"], proxy_protocol: {version: %d}, health_check: {protocol: %s, interval: 50ms}`, version, check)))
				for range 2 {
					select {
					case got := <-began:
						if got != want {
							t.Fatalf("the check begins with %q", got)
						}
					case <-time.After(patience):
						t.Fatal("no check")
					}
				}
			})
		}
	}
}

// A target that ends a connection between two requests is told of the client
// again on the next one.
func TestAConnectionInThePlaceOfADeadOneIsAnnouncedToo(t *testing.T) {
	backend := byHand(t, func(conn net.Conn, in *bufio.Reader) {
		header, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(header, "PROXY TCP4 127.0.0.1 ") {
			return
		}
		if _, err := nethttp.ReadRequest(in); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(header), header)
		}
	})
	r := startBefore(t, backend, with(fleetConfig, `targets: ["BACKEND"]`, `targets: ["BACKEND"], proxy_protocol: {version: 1}`))
	c := r.dial(r.root.Client("MacID-1"))
	first := c.get()
	for range 3 {
		if got := c.get(); got.StatusCode != 200 || got.body != first.body {
			t.Errorf("%d %q, was %q", got.StatusCode, got.body, first.body)
		}
	}
}

func TestHealthChecksOverHTTP2SpeakForThemselves(t *testing.T) {
	r := startBefore(t, hearer(t, true), with(telling("h2"), "proxy_protocol:", "health_check: {interval: 50ms, healthy: 1, path: /}, fail_open: false, proxy_protocol:"))
	if h := r.dial(r.root.Client("MacID-1")).get().heard(t); h.CN != "MacID-1" {
		t.Errorf("%+v", h)
	}
	r.until("the target is healthy", func() bool {
		return r.node.Current().Listeners[0].Routes.Default.Forward.Targets()[0].State == health.Healthy
	})
}
