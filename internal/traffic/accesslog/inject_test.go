package accesslog

import (
	"crypto/tls"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev"
)

// tokens splits a line as the many parsers of AWS's logs do: at spaces, a
// quoted string being one token; none of them knows an escaped quotation mark.
func tokens(line string) (out []string, ok bool) {
	for line != "" {
		var token string
		if line[0] == '"' {
			end := strings.IndexByte(line[1:], '"')
			if end < 0 {
				return nil, false
			}
			token, line = line[1:1+end], line[2+end:]
		} else {
			end := strings.IndexByte(line, ' ')
			if end < 0 {
				end = len(line)
			}
			token, line = line[:end], line[end:]
			if token == "" || strings.Contains(token, `"`) {
				return nil, false
			}
		}
		out = append(out, token)
		if line != "" {
			if line[0] != ' ' || len(line) == 1 {
				return nil, false
			}
			line = line[1:]
		}
	}
	return out, true
}

// checkLine holds a line of the AWS format to what every parser relies on.
func checkLine(t *testing.T, line []byte, fields int) []string {
	t.Helper()
	body, ok := strings.CutSuffix(string(line), "\n")
	if !ok {
		t.Fatalf("no newline at the end of %q", line)
	}
	for i := range len(body) {
		if body[i] < ' ' || body[i] > '~' {
			t.Fatalf("byte %#x in %q", body[i], body)
		}
	}
	got, ok := tokens(body)
	if !ok || len(got) != fields {
		t.Fatalf("%d tokens, want %d, in %s", len(got), fields, body)
	}
	return got
}

// checkObject holds a line of the JSON format to what every parser relies on.
func checkObject(t *testing.T, line []byte) map[string]any {
	t.Helper()
	body, ok := strings.CutSuffix(string(line), "\n")
	if !ok {
		t.Fatalf("no newline at the end of %q", line)
	}
	for i := range len(body) {
		if body[i] < ' ' || body[i] > '~' {
			t.Fatalf("byte %#x in %q", body[i], body)
		}
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return m
}

// hostile fills every text that somebody else chooses with s.
func hostile(s string) (*Connection, *Access) {
	c := &Connection{
		Client: netip.MustParseAddrPort("203.0.113.1:1"), Listener: s, ListenerPort: 443,
		LocalIP: netip.MustParseAddr("fe80::1").WithZone("x\"\n "), TLSVersion: tls.VersionTLS13,
		ALPN: s, ServerName: s, ServerCertificate: s, TrustStore: s,
		Certificate: &countersign.Identity{Subject: s, Issuer: s, Serial: s, CommonNames: []string{s}},
		Proxy:       &Proxy{Peer: netip.MustParseAddrPort("203.0.113.2:2"), Version: 2, Authority: s, VPCEndpoint: s, UniqueID: []byte(s)},
		Denial:      &countersign.Denial{Stage: countersign.Stage(s), Code: countersign.Code(s), Reason: s},
	}
	a := newAccess().(*Access)
	a.Connection = c
	a.Request([]byte(s), []byte(s), "HTTP/1.1")
	a.Host([]byte(s))
	a.UserAgent([]byte(s))
	a.Referer([]byte(s))
	a.TraceID([]byte(s))
	a.Redirect([]byte(s))
	a.Transformed([]byte(s), []byte(s))
	a.Target(s, 200)
	a.TargetGroup, a.Actions, a.Classification, a.ClassificationReason, a.TransformStatus = s, s, s, s, s
	a.Denial = c.Denial
	return c, a
}

func checkHostile(t *testing.T, s string) {
	t.Helper()
	c, a := hostile(s)
	checkLine(t, appendConnectionAWS(nil, c, new(clock)), 15)
	checkLine(t, appendAccessAWS(nil, a, new(clock)), 34)
	if m := checkObject(t, appendConnectionJSON(nil, c, new(clock))); s != "" && m["subject"] != strings.ToValidUTF8(s, "\ufffd") {
		// ToValidUTF8 makes one U+FFFD of a run of bad bytes, we make one of each.
		if strings.ToValidUTF8(s, "") == s {
			t.Errorf("JSON: subject %q became %q", s, m["subject"])
		}
	}
	checkObject(t, appendAccessJSON(nil, a, new(clock)))
	combined := strings.TrimSuffix(string(appendCombined(nil, a, new(clock))), "\n")
	got, ok := tokens(strings.NewReplacer("[", "", "]", "").Replace(combined))
	if strings.ContainsAny(s, "[]") {
		got, ok = tokens(combined)
	}
	if want := 10; !ok || len(got) != want { // the time is two
		t.Fatalf("combined: %d tokens, want %d, in %s", len(got), want, combined)
	}
}

func TestNobodyWritesLinesOfTheirOwn(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":         "",
		"a dash":          "-",
		"quotes":          `" "`,
		"new line":        "x\n2026-11-22T10:00:00Z forged",
		"carriage return": "x\rforged",
		"NUL":             "a\x00b",
		"terminal":        "\x1b[2J\x1b]0;title\x07",
		"C1":              "\u009b2J",
		"backslash":       `\`,
		"escaped quote":   `\" Success "`,
		"space":           " a  b ",
		"DEL":             "\x7f",
		"not UTF-8":       "\xff\xfe\xc0\x80",
		"bidi":            "\u202egnp.exe",
		"separators":      "\u2028\u2029",
		"beyond the BMP":  "\U0001f512",
		"JSON":            `","denial_code":"x`,
		"fake status":     "x Success TID_00 secp256r1",
		"tab":             "a\tb",
	} {
		t.Run(name, func(t *testing.T) { checkHostile(t, s) })
	}
}

func TestEscapes(t *testing.T) {
	c, _ := hostile("CN=\"a\\,\nb\u00e9 c")
	line := checkLine(t, appendConnectionAWS(nil, c, new(clock)), 15)
	if got, want := line[7], `CN=\x22a\x5C,\x0Ab\xC3\xA9 c`; got != want {
		t.Errorf("subject: got %s, want %s", got, want)
	}
	if got, want := line[9], `CN=\x22a\x5C,\x0Ab\xC3\xA9\x20c`; got != want {
		t.Errorf("serial: got %s, want %s", got, want)
	}
	if got, want := line[14], "fe80::1"; got != want {
		t.Errorf("local address: got %s, want %s", got, want)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	long := []byte(strings.Repeat("u", 1<<20))
	a := newAccess().(*Access)
	a.Connection = new(Connection)
	a.Request(long, long, "HTTP/1.1")
	a.UserAgent(long)
	if got := len(a.text(a.userAgent)); got != 8<<10 {
		t.Errorf("user agent: %d bytes kept, AWS keeps 8 KiB", got)
	}
	if got := len(appendAccessAWS(nil, a, new(clock))); got > 64<<10 {
		t.Errorf("a line of %d bytes", got)
	}
	a.reset()
	if cap(a.arena) > keepArena {
		t.Errorf("an arena of %d bytes is kept for the next event", cap(a.arena))
	}
}

// A request of 40 bytes must not cost a line as long as the certificate that its
// client once showed.
func TestACertificateCannotMakeLinesLong(t *testing.T) {
	long := strings.Repeat(`\C3`, 20<<10)
	c := &Connection{TLSVersion: tls.VersionTLS13, TrustStore: "fleet", Certificate: &countersign.Identity{
		Subject: "CN=" + long, Issuer: "CN=" + long, Serial: "02", CommonNames: []string{long}, DNSNames: []string{long}}}
	a := newAccess().(*Access)
	a.Connection = c
	for name, line := range map[string][]byte{
		"connection, aws": appendConnectionAWS(nil, c, new(clock)), "connection, json": appendConnectionJSON(nil, c, new(clock)),
		"access, aws": appendAccessAWS(nil, a, new(clock)), "access, json": appendAccessJSON(nil, a, new(clock)), "access, combined": appendCombined(nil, a, new(clock)),
	} {
		if len(line) > 16<<10 {
			t.Errorf("%s: a line of %d bytes", name, len(line))
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "-", `"`, "a b", "\n", "\\\"", "\xff", "\U0001f512", `" - - Success`, "https://x/ y", "[::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkHostile(t, s) })
}
