package traffic_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	pires "github.com/pires/go-proxyproto"

	"countersign.dev/internal/testpki"
)

// vouched is a node at which no client shows a certificate: a balancer in front,
// where TLS ends, says who it is.
func vouched(auth string) string {
	return with(fleetConfig, "protocol: https", "protocol: http\n    proxy_protocol: {accept: required, from: 127.0.0.0/8}",
		"    certificates: [{cert: server.crt, key: server.key}]\n", "",
		"{mode: verify, trust_store: fleet}", "{mode: proxied, "+auth+"}",
		"identity_headers: [aws]", `identity_headers: [aws, nginx, rfc9440, xfcc, traefik, {set: X-Who, value: "{subject} by {vouched_by}{fingerprint}"}]`)
}

const believed = "from: 127.0.0.1"

// said is a header with what a balancer says of a client's certificate.
func said(bits byte, verify byte, parts ...string) string {
	return headerV2(0x21, 0x11, ends+field(0x02, "api.example.com")+field(0x20, string([]byte{bits, 0, 0, 0, verify})+strings.Join(parts, "")))
}

func commonName(name string) string { return field(0x22, name) }

func certificate(c *testpki.Certificate) string { return field(0x28, string(c.X509.Raw)) }

// behind connects with header before the first byte.
func (r *rig) behind(header string) *client {
	c := r.plain("127.0.0.1:0")
	c.conn = &announced{c.conn, header}
	return c
}

func TestAClientIsWhomTheBalancerVouchesFor(t *testing.T) {
	r := start(t, vouched(believed))
	c := r.behind(said(7, 0, commonName("MacID-1"), field(0x21, "TLSv1.3")))
	for range 2 {
		got := c.get("X-SSL-Client-S-DN: CN=admin").served(t)
		for name, want := range map[string]string{
			"X-Amzn-Mtls-Clientcert-Subject": "CN=MacID-1", "X-Amzn-Mtls-Clientcert-Leaf": "", "X-Amzn-Mtls-Clientcert-Serial-Number": "",
			"X-Amzn-Mtls-Clientcert-Validity": "", "X-Amzn-Mtls-Clientcert-Issuer": "",
			"X-Ssl-Client-Verify": "SUCCESS", "X-Ssl-Client-S-Dn": "CN=MacID-1", "X-Ssl-Client-Serial": "", "X-Ssl-Client-V-Start": "",
			"X-Ssl-Client-Fingerprint": "", "Client-Cert": "", "X-Forwarded-Client-Cert": `Subject="CN=MacID-1"`, "X-Forwarded-Tls-Client-Cert": "",
			"X-Forwarded-Tls-Client-Cert-Info": "", "X-Who": "CN=MacID-1 by 127.0.0.1", "X-Forwarded-For": "192.0.2.1",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Get(name), want)
			}
		}
	}
	for _, log := range []string{"connection", "access"} {
		line := r.journal.wait(t, event{"event": log})
		if !line.has(event{"subject": "CN=MacID-1", "vouched_by": "127.0.0.1", "client_ip": "192.0.2.1"}) || line["fingerprint"] != nil || line["trust_store"] != nil {
			t.Errorf("the %s log says %v", log, line)
		}
	}
}

func TestACertificateThatABalancerTellsIsDescribedInFull(t *testing.T) {
	for name, auth := range map[string]string{"the balancer's word": believed, "verified here": believed + ", trust_store: fleet"} {
		t.Run(name, func(t *testing.T) {
			config := vouched(auth)
			if name == "the balancer's word" {
				config = with(config, "trust_stores:\n  - name: fleet\n    ca_bundle: [ca.crt]\n", "")
			}
			r := start(t, config)
			cert := r.root.Client("MacID-1")
			got := r.behind(said(7, 0, commonName("another"), certificate(cert))).get().served(t)
			if got.Get("X-Ssl-Client-S-Dn") != "CN=MacID-1" || got.Get("Client-Cert") == "" || got.Get("X-Amzn-Mtls-Clientcert-Leaf") == "" ||
				got.Get("X-Amzn-Mtls-Clientcert-Serial-Number") == "" || !strings.Contains(got.Get("X-Forwarded-Client-Cert"), "Hash=") ||
				!strings.HasPrefix(got.Get("X-Who"), "CN=MacID-1 by 127.0.0.1") {
				t.Errorf("%v", got)
			}
			store := any(nil)
			if name == "verified here" {
				store = "fleet"
			}
			if line := r.journal.wait(t, event{"event": "connection"}); line["trust_store"] != store {
				t.Errorf("%v", line)
			}
		})
	}
}

func TestNobodyIsServedForWhomABalancerDoesNotVouch(t *testing.T) {
	stranger := testpki.NewRoot(t, "Others").Client("MacID-1")
	for name, c := range map[string]struct{ auth, header, code string }{
		"no word of TLS":                {believed, headerV2(0x21, 0x11, ends), "ClientNotVouched"},
		"version 1":                     {believed, headerV1, "ClientNotVouched"},
		"a connection without TLS":      {believed, said(6, 0, commonName("MacID-1")), "ClientNotVouched"},
		"no certificate":                {believed, said(1, 0, commonName("MacID-1")), "ClientNotVouched"},
		"a bad certificate":             {believed, said(7, 10, commonName("MacID-1")), "ClientNotVouched"},
		"no name":                       {believed, said(7, 0), "ClientNotVouched"},
		"a name with a NUL":             {believed, said(7, 0, commonName("admin\x00x")), "ClientCertInvalid"},
		"a certificate that is none":    {believed, said(7, 0, field(0x28, "0")), "ClientCertInvalid"},
		"a name for a trust store":      {believed + ", trust_store: fleet", said(7, 0, commonName("MacID-1")), "ClientNotVouched"},
		"another authority's":           {believed + ", trust_store: fleet", said(7, 0, certificate(stranger)), "ClientCertUntrusted"},
		"a balancer that is not named":  {"from: 127.0.0.2", said(7, 0, commonName("MacID-1")), "ProxyHeaderUntrusted"},
		"two names":                     {believed, said(7, 0, commonName("MacID-1"), commonName("admin")), "ProxyHeaderInvalid"},
		"what is due in a nested field": {believed, said(7, 0, field(0x30, commonName("MacID-1"))), "ClientNotVouched"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, vouched(c.auth))
			client := r.behind(c.header)
			client.send()
			client.ended()
			if line := r.journal.wait(t, event{"event": "connection"}); line["error_code"] != c.code && line["denial_code"] != c.code && !strings.Contains(fmt.Sprint(line), c.code) {
				t.Errorf("%v, want %s", line, c.code)
			}
		})
	}
}

func TestWhoIsNotVouchedForCanBeToldWhy(t *testing.T) {
	r := start(t, vouched(believed+", on_failure: respond"))
	for _, header := range []string{said(1, 0), headerV2(0x20, 0, "")} {
		if got := r.behind(header).get(); got.StatusCode != nethttp.StatusForbidden || !strings.Contains(got.body, "ClientNotVouched") {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
}

// Everywhere else a header says nothing of who a client is.
func TestWithoutProxiedNoFieldOfAHeaderIsIdentity(t *testing.T) {
	r := start(t, plainBehindBalancer("required", "127.0.0.1"))
	got := r.behind(said(7, 0, commonName("MacID-1"), certificate(r.root.Client("MacID-1")))).get().served(t)
	for name := range got {
		if strings.Contains(strings.ToLower(name), "cert") || strings.Contains(strings.ToLower(name), "ssl") {
			t.Errorf("%s: %q", name, got.Get(name))
		}
	}
	secure := start(t, with(behindBalancer("required", "127.0.0.1"), "mode: verify", "mode: optional"))
	c := secure.plain("127.0.0.1:0")
	conn := tls.Client(&announced{c.conn, said(7, 0, commonName("MacID-1"))}, &tls.Config{RootCAs: secure.server.Issuer.Pool(), ServerName: "localhost"})
	c.conn, c.in = conn, bufio.NewReader(conn)
	if got := c.get().served(t); got.Get("X-Amzn-Mtls-Clientcert-Subject") != "" {
		t.Errorf("%v", got)
	}
}

// Behind a balancer that speaks TLS to us too, the client is the one it vouches for.
func TestABalancerMayVouchOverTLS(t *testing.T) {
	r := start(t, with(vouched(believed), "protocol: http\n", "protocol: https\n    certificates: [{cert: server.crt, key: server.key}]\n"))
	c, err := r.announce(said(7, 0, commonName("MacID-1")), r.root.Client("balancer"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.get().served(t); got.Get("X-Ssl-Client-S-Dn") != "CN=MacID-1" {
		t.Errorf("%v", got)
	}
}

// What holds for the certificates of clients holds for those that are told.
func TestAVouchedClientLosesItsConnectionWhenItIsNotAcceptedAnyMore(t *testing.T) {
	for name, changed := range map[string][]string{
		"another trust store":      {believed + ", trust_store: fleet", "ca_bundle: [ca.crt]", "ca_bundle: [others.crt]"},
		"another balancer":         {believed, believed, "from: 127.0.0.2"},
		"certificates are needed":  {believed, "{mode: proxied, " + believed + "}", "{mode: proxied, " + believed + ", trust_store: fleet}"},
		"it is a balancer no more": {believed, "client_auth: {mode: proxied, " + believed + "}\n    ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := vouched(changed[0])
			if name == "it is a balancer no more" {
				config = with(config, "    identity_headers", "    identity_headers")
			}
			r := start(t, config)
			r.file("others.crt", testpki.NewRoot(t, "Others").PEM())
			header := said(7, 0, commonName("MacID-1"))
			if strings.Contains(changed[0], "trust_store") {
				header = said(7, 0, certificate(r.root.Client("MacID-1")))
			}
			c := r.behind(header)
			c.get().served(t)
			next := with(config, changed[1], changed[2])
			if name == "it is a balancer no more" {
				next = with(next, `    identity_headers: [aws, nginx, rfc9440, xfcc, traefik, {set: X-Who, value: "{subject} by {vouched_by}{fingerprint}"}]`+"\n", "")
			}
			r.publish(next)
			if rest, err := io.ReadAll(c.in); len(rest) > 0 && !strings.Contains(string(rest), "HTTP/1.1") || err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("the connection goes on: %q, %v", rest, err)
			}
		})
	}
}

// fields are those of a header that a target got, by type.
func fields(t testing.TB, conn net.Conn) map[byte]string {
	h, err := pires.Read(bufio.NewReader(conn))
	if err != nil {
		t.Error(err)
		return nil
	}
	all, err := h.TLVs()
	if err != nil {
		t.Error(err)
	}
	out := map[byte]string{}
	for _, tlv := range all {
		out[byte(tlv.Type)] += string(tlv.Value)
	}
	return out
}

// one is a backend that tells of the header of its first connection.
func one(t testing.TB) (address string, told chan map[byte]string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told = make(chan map[byte]string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		told <- fields(t, conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), told
}

func TestWhatABalancerToldIsPassedOnWhereTheListenerSaysSo(t *testing.T) {
	announced := headerV2(0x21, 0x11, ends+field(0xea, "\x01vpce-1a2b")+field(0xe1, "theirs")+field(0xe3, "theirs")+field(0x02, "front.example.com"))
	for pass, want := range map[string]map[byte]string{
		"":                                {0xe1: "CN=MacID-1 for localhost", 0xe2: "TLSv1.3"},
		", pass_tlvs: vpce":               {0xe1: "CN=MacID-1 for localhost", 0xe2: "TLSv1.3", 0xea: "\x01vpce-1a2b"},
		", pass_tlvs: [0xE1, 0xE3, 0xEA]": {0xe1: "CN=MacID-1 for localhost", 0xe2: "TLSv1.3", 0xe3: "theirs", 0xea: "\x01vpce-1a2b"},
		", pass_tlvs: [authority, vpce]":  {0xe1: "CN=MacID-1 for localhost", 0xe2: "TLSv1.3", 0x02: "front.example.com", 0xea: "\x01vpce-1a2b"},
	} {
		address, told := one(t)
		r := startBefore(t, address, with(behindBalancer("required", "127.0.0.1"), `from: "127.0.0.1"`, `from: "127.0.0.1"`+pass,
			`targets: ["BACKEND"]`, `targets: ["BACKEND"], proxy_protocol: {set: [{type: 0xE1, value: "{subject} for {server_name}"}, {type: 0xE2, value: "{tls_version}"}, {type: 0xE4, value: "{ou}"}]}`))
		c, err := r.announce(announced, r.root.Client("MacID-1"))
		if err != nil {
			t.Fatal(err)
		}
		c.get()
		got := <-told
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", pass, got, want)
		}
	}
}

// A client that is not known is not named in fields of our own either.
func TestAFieldThatNamesTheClientIsLeftOutForAnonymousOnes(t *testing.T) {
	address, told := one(t)
	r := startBefore(t, address, with(fleetConfig, "mode: verify", "mode: optional", `targets: ["BACKEND"]`,
		`targets: ["BACKEND"], proxy_protocol: {set: [{type: 0xE1, value: "I am {subject}"}, {type: 0xE2, value: "{verify}"}]}`))
	r.dial(nil).get()
	if got := <-told; fmt.Sprint(got) != fmt.Sprint(map[byte]string{0xe2: "NONE"}) {
		t.Errorf("%q", got)
	}
}

// The client's connection to the balancer is what targets are told of.
func TestATargetIsToldOfTheClientOfAVouchedConnection(t *testing.T) {
	r := startBefore(t, hearer(t, false), with(vouched(believed), `targets: ["BACKEND"]`,
		`targets: ["BACKEND"], proxy_protocol: {tlvs: [ssl, ssl_client_cert, authority]}`))
	cert := r.root.Client("MacID-1")
	h := r.behind(said(5, 0, commonName("MacID-1"), certificate(cert), field(0x21, "TLSv1.2"), field(0x23, "ECDHE"))).get().heard(t)
	if h.Bits != 5 || h.Verify != 0 || h.CN != "MacID-1" || h.Version != "TLSv1.2" || h.Cipher != "ECDHE" || string(h.Cert) != string(cert.X509.Raw) ||
		h.Authority != "api.example.com" || h.Client != "192.0.2.1:4242" {
		t.Errorf("%+v", h)
	}
}
