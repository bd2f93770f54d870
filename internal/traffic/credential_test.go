package traffic_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/credential/apikey"
)

// withCredentials is fleetConfig for whoever shows one of four things.
var withCredentials = with(fleetConfig, "mode: verify", "mode: optional", "identity_headers: [aws]",
	`identity_headers: [aws, {set: X-Who, value: "{auth_type}:{auth_subject}"}]
    require: [{any_of: [client_certificate, partners, staff, apps]}]`) + `
credentials:
  - {name: partners, type: api_key, keys: keys.txt}
  - {name: staff, type: basic, htpasswd: staff.htpasswd, realm: the staff}
  - {name: apps, type: jwt, issuer: "https://id.example.com/", audience: api, jwks: jwks.json}
`

// An issuer signs tokens.
type issuer struct {
	key *ecdsa.PrivateKey
	id  string
}

func newIssuer(t testing.TB, id string) issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{key, id}
}

func (i issuer) keys(t testing.TB) []byte {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.id}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// token is for app-1, with further claims.
func (i issuer) token(t testing.TB, further map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": "https://id.example.com/", "aud": "api", "sub": "app-1", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range further {
		claims[k] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: i.id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// startWithCredentials serves config: acme has the key "secret-key", ada the
// password "secret-word", and the issuer is new.
func startWithCredentials(t testing.TB, config string) (*rig, issuer) {
	t.Helper()
	r, apps := start(t, fleetConfig), newIssuer(t, "1")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret-word"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	r.file("keys.txt", []byte(apikey.Line("acme", "secret-key")+"\n"))
	r.file("staff.htpasswd", []byte("ada:"+string(hash)+"\n"))
	r.file("jwks.json", apps.keys(t))
	r.publish(config)
	return r, apps
}

const adas = "Basic YWRhOnNlY3JldC13b3Jk" // ada:secret-word

func TestAnyOfWhatIsRequiredIsEnoughOverBothVersionsOfHTTP(t *testing.T) {
	r, apps := startWithCredentials(t, withCredentials)
	device := r.root.Client("MacID-1")
	token := "Bearer " + apps.token(t, nil)
	for name, tc := range map[string]struct {
		cert          *testpki.Certificate
		header, value string
		subject, typ  string
		credential    string
	}{
		"a certificate": {cert: device},
		"an api key":    {header: "x-api-key", value: "secret-key", subject: "acme", typ: "api_key", credential: "partners"},
		"a password":    {header: "authorization", value: adas, subject: "ada", typ: "basic", credential: "staff"},
		"a token":       {header: "authorization", value: token, subject: "app-1", typ: "jwt", credential: "apps"},
	} {
		t.Run(name, func(t *testing.T) {
			var lines, fields []string
			if tc.header != "" {
				lines, fields = []string{tc.header + ": " + tc.value}, []string{tc.header, tc.value}
			}
			for _, forged := range []string{"X-Auth-Subject", "x_auth_subject", "X.Auth.Type", "X-AUTH-CREDENTIAL", "X-Who"} {
				lines, fields = append(lines, forged+": forged"), append(fields, strings.ToLower(forged), "forged")
			}
			one, two := r.dial(tc.cert), r.dial2(tc.cert)
			for range 3 { // the first is verified, the others are remembered
				for version, header := range map[string]map[string][]string{"h1": one.get(lines...).served(t), "h2": two.get(fields...).served(t)} {
					got := fmt.Sprint(header["X-Auth-Subject"], header["X-Auth-Type"], header["X-Auth-Credential"], header["X-Who"])
					want := "[] [] [] []"
					if tc.subject != "" {
						want = fmt.Sprintf("[%s] [%s] [%s] [%s:%s]", tc.subject, tc.typ, tc.credential, tc.typ, tc.subject)
					}
					if got != want {
						t.Errorf("%s: the target is told %s, want %s", version, got, want)
					}
					if text := fmt.Sprint(header); strings.Contains(text, "forged") || strings.Contains(text, "secret") || tc.value != "" && strings.Contains(text, tc.value) {
						t.Errorf("%s: the target is shown what it must not be: %s", version, text)
					}
				}
			}
			if tc.subject != "" {
				r.journal.wait(t, event{"auth_subject": tc.subject, "auth_type": tc.typ, "auth_credential": tc.credential, "type": "https"})
				r.journal.wait(t, event{"auth_subject": tc.subject, "auth_type": tc.typ, "auth_credential": tc.credential, "type": "h2"})
			}
		})
	}
	all, _ := r.journal.of(nil)
	if text := fmt.Sprint(all); strings.Contains(text, "secret") || strings.Contains(text, adas) || strings.Contains(text, token) {
		t.Error("the logs have a secret")
	}
}

func TestWhoShowsNothingOrSomethingWrongIsChallenged(t *testing.T) {
	r, apps := startWithCredentials(t, withCredentials)
	stranger := newIssuer(t, "1")
	long := "Bearer " + strings.Repeat("A", 15<<10)
	for name, tc := range map[string]struct {
		header, value string
		code          string
		challenge     string // the one of the three that says more
	}{
		"nothing":              {code: "CredentialMissing"},
		"another scheme":       {header: "authorization", value: "Digest x", code: "CredentialMissing"},
		"another key":          {header: "x-api-key", value: "other", code: "CredentialInvalid"},
		"another password":     {header: "authorization", value: "Basic YWRhOng=", code: "CredentialInvalid"},
		"another issuer's key": {header: "authorization", value: "Bearer " + stranger.token(t, nil), code: "CredentialInvalid", challenge: `error="invalid_token"`},
		"a token that ended":   {header: "authorization", value: "bearer " + apps.token(t, map[string]any{"exp": 1}), code: "CredentialExpired", challenge: `error="invalid_token"`},
		"a bound token":        {header: "authorization", value: "Bearer " + apps.token(t, map[string]any{"cnf": map[string]any{"x5t#S256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}), code: "CredentialNotBound", challenge: `error="invalid_token"`},
		"a long token":         {header: "authorization", value: long, code: "CredentialInvalid", challenge: `error="invalid_token"`},
		"alg none":             {header: "authorization", value: "Bearer eyJhbGciOiJub25lIn0.e30.", code: "CredentialInvalid", challenge: `error="invalid_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			var lines, fields []string
			if tc.header != "" {
				lines, fields = []string{tc.header + ": " + tc.value}, []string{tc.header, tc.value}
			}
			one, two := r.dial(nil).get(lines...), r.dial2(nil).get(fields...)
			one.refused(t, 401, tc.code)
			two.refused(t, 401, tc.code)
			for version, got := range map[string][]string{"h1": one.Header.Values("WWW-Authenticate"), "h2": two.header.Values("WWW-Authenticate")} {
				text := strings.Join(got, "\n")
				for _, want := range []string{`ApiKey realm="partners"`, `Basic realm="the staff", charset="UTF-8"`, `Bearer realm="apps"`, tc.challenge} {
					if len(got) != 3 || !strings.Contains(text, want) {
						t.Errorf("%s: challenges %q, want one with %q", version, got, want)
					}
				}
			}
			r.journal.wait(t, event{"denial_code": tc.code, "denial_stage": "authorize", "event": "access"})
		})
	}
}

func TestOneMebibyteOfATokenIsRefusedUnread(t *testing.T) {
	r, _ := startWithCredentials(t, with(withCredentials, "    default: {forward: app}", "    limits: {header: 1MiB, headers: 4MiB}\n    default: {forward: app}"))
	value := "Bearer " + strings.Repeat("A.", (1<<20-100)/2)
	r.dial(nil).get("Authorization: "+value).refused(t, 401, "CredentialInvalid")
}

// RFC 9110 section 5.3: a field that is no list comes once. Two readers would not
// agree on which one counts.
func TestTwoAuthorizationFieldsAreRefused(t *testing.T) {
	r, apps := startWithCredentials(t, withCredentials)
	token := "Bearer " + apps.token(t, nil)
	r.dial(nil).get("Authorization: "+adas, "Authorization: "+token).refused(t, 401, "CredentialInvalid")
	r.dial2(nil).get("authorization", token, "authorization", token).refused(t, 401, "CredentialInvalid")
}

func TestOnlyACertificateMissingIs403(t *testing.T) {
	r, _ := startWithCredentials(t, with(withCredentials, "{any_of: [client_certificate, partners, staff, apps]}", "client_certificate, partners, {any_of: [staff, apps]}"))
	p := r.dial(nil).get("X-Api-Key: secret-key", "Authorization: "+adas)
	p.refused(t, 403, "ClientCertMissing")
	if got := p.Header.Values("WWW-Authenticate"); got != nil {
		t.Errorf("challenged with %q", got)
	}
	device := r.root.Client("MacID-1")
	r.dial(device).get("X-Api-Key: secret-key").refused(t, 401, "CredentialMissing")
	if got := r.dial(device).get("X-Api-Key: secret-key", "Authorization: "+adas).served(t); got.Get("X-Auth-Subject") != "acme" {
		t.Errorf("told of %q, want the first that is required", got.Get("X-Auth-Subject"))
	}
}

// RFC 8705 section 3: on the connection of its certificate, nowhere else.
func TestABoundTokenIsGoodOnTheConnectionOfItsCertificate(t *testing.T) {
	r, apps := startWithCredentials(t, with(withCredentials, "{any_of: [client_certificate, partners, staff, apps]}", "{any_of: [partners, staff, apps]}", "audience: api,", "audience: api, certificate_bound: required,"))
	device, other := r.root.Client("MacID-1"), r.root.Client("MacID-2")
	sum := sha256.Sum256(device.X509.Raw)
	bound := "Bearer " + apps.token(t, map[string]any{"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	for range 2 {
		r.dial(device).get("Authorization: " + bound).served(t)
		r.dial2(device).get("authorization", bound).served(t)
		r.dial(other).get("Authorization: "+bound).refused(t, 401, "CredentialNotBound")
		r.dial2(nil).get("authorization", bound).refused(t, 401, "CredentialNotBound")
	}
	r.dial(device).get("Authorization: Bearer "+apps.token(t, nil)).refused(t, 401, "CredentialNotBound")
}

func TestAKeyThatIsRemovedIsRefusedOnLiveConnections(t *testing.T) {
	r, apps := startWithCredentials(t, withCredentials)
	token := "Bearer " + apps.token(t, nil)
	one, two := r.dial(nil), r.dial2(nil)
	for _, h := range [][2]string{{"x-api-key", "secret-key"}, {"authorization", adas}, {"authorization", token}} {
		one.get(h[0] + ": " + h[1]).served(t)
		two.get(h[0], h[1]).served(t)
	}
	r.file("keys.txt", []byte("# nobody\n"))
	r.file("staff.htpasswd", []byte("# nobody\n"))
	r.file("jwks.json", newIssuer(t, "2").keys(t))
	r.publish(withCredentials)
	for _, h := range [][2]string{{"x-api-key", "secret-key"}, {"authorization", adas}, {"authorization", token}} {
		one.get(h[0]+": "+h[1]).refused(t, 401, "CredentialInvalid")
		two.get(h[0], h[1]).refused(t, 401, "CredentialInvalid")
	}
}

func TestACredentialIsForwardedWhereThatIsSaid(t *testing.T) {
	r, apps := startWithCredentials(t, with(withCredentials, "audience: api,", "audience: api, forward_credentials: true,"))
	token := "Bearer " + apps.token(t, nil)
	if got := r.dial(nil).get("Authorization: " + token).served(t).Get("Authorization"); got != token {
		t.Errorf("the target got %q", got)
	}
	if got := r.dial(nil).get("X-Api-Key: secret-key", "Authorization: Digest of its own").served(t); got.Get("Authorization") != "Digest of its own" || got.Get("X-Api-Key") != "" {
		t.Errorf("the target got %v", got)
	}
	// What did not count does not reach it either.
	if got := r.dial(r.root.Client("MacID-1")).get("X-Api-Key: wrong", "Authorization: "+adas).served(t); got.Get("Authorization") != "" || got.Get("X-Api-Key") != "" {
		t.Errorf("the target got %v", got)
	}
}

func TestASourceThatGuessesIsToldToWait(t *testing.T) {
	r, _ := startWithCredentials(t, with(withCredentials, "    default: {forward: app}", "    limits: {credential_failures: 5}\n    default: {forward: app}"))
	c := r.dial(nil)
	for range 5 {
		c.get("X-Api-Key: guess").refused(t, 401, "CredentialInvalid")
	}
	p := c.get("X-Api-Key: secret-key")
	p.refused(t, 429, "CredentialLimit")
	if p.Header.Get("Retry-After") == "" {
		t.Error("not told when to come again")
	}
	q := r.dial2(nil).get("authorization", adas)
	q.refused(t, 429, "CredentialLimit")
	if q.header.Get("Retry-After") == "" {
		t.Error("not told when to come again, over HTTP/2")
	}
	r.dial(r.root.Client("MacID-1")).get().served(t)
}

// What takes long to verify holds up no other request of its connection.
func TestRequestsThatAreVerifiedGoOnSideBySide(t *testing.T) {
	r, _ := startWithCredentials(t, withCredentials)
	c := r.dial2(nil)
	var slow, quick []uint32
	for i := range 20 {
		wrong := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "ada:%d", i))
		slow = append(slow, c.send("authorization", "Basic "+wrong))
		quick = append(quick, c.send("x-api-key", "secret-key"))
	}
	for i := range slow {
		c.reply(quick[i]).served(t)
		c.reply(slow[i]).refused(t, 401, "CredentialInvalid")
	}
}

// A request that shows what is known allocates nothing either.
func TestARequestWithAKnownCredentialAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	config := with(httpConfig, "default: {forward: app}", "require: [{any_of: [partners, apps]}], default: {forward: app}") + `
credentials:
  - {name: partners, type: api_key, keys: keys.txt}
  - {name: apps, type: jwt, issuer: "https://id.example.com/", audience: api, jwks: jwks.json}
`
	config = with(config, `logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`,
		"logs: {connection: {path: connection.log, format: json}, access: {path: access.log, format: json}}")
	r, apps := startWithCredentials(t, config)
	r.backend = frugal(t)
	r.publish(config)
	noAllocations(t, r.plain("127.0.0.1:0").conn, "X-Api-Key: secret-key")
	noAllocations(t, r.plain("127.0.0.1:0").conn, "Authorization: Bearer "+apps.token(t, nil))
}

// Several audiences at one listener: what a rule requires comes beside what the
// listener does, and each rule is for its own.
func TestARuleRequiresMoreThanItsListener(t *testing.T) {
	r, apps := startWithCredentials(t, with(withCredentials, "require: [{any_of: [client_certificate, partners, staff, apps]}]",
		`rules:
      - {when: {path: /public}, forward: app}
      - {when: {path: /device}, require: client_certificate, forward: app}
      - {when: {path: /staff}, require: [staff, {any_of: [client_certificate, partners]}], forward: app}
      - {when: {path: /both}, require: apps, forward: app}`))
	device := r.root.Client("MacID-1")
	token := "Bearer " + apps.token(t, nil)
	for _, tc := range []struct {
		path   string
		cert   *testpki.Certificate
		header string
		value  string
		status int
	}{
		{path: "/public", status: 200},
		{path: "/public", header: "authorization", value: "Bearer of anything", status: 200},
		{path: "/device", status: 403},
		{path: "/device", header: "authorization", value: token, status: 403},
		{path: "/device", cert: device, status: 200},
		{path: "/staff", header: "authorization", value: adas, status: 401},
		{path: "/staff", cert: device, header: "authorization", value: adas, status: 200},
		{path: "/staff", cert: device, status: 401},
		{path: "/both", cert: device, status: 401},
		{path: "/both", header: "authorization", value: token, status: 200},
	} {
		two := r.dial2(tc.cert)
		fields := []string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", tc.path}
		if tc.header != "" {
			fields = append(fields, tc.header, tc.value)
		}
		if p := two.reply(two.head(fields...)); p.status != tc.status {
			t.Errorf("h2 %s with %.20q: %d, want %d", tc.path, tc.value, p.status, tc.status)
		}
		one := r.dial(tc.cert)
		fmt.Fprintf(one.conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s: %s\r\n\r\n", tc.path, cmp.Or(tc.header, "x-none"), tc.value)
		if p := one.reply(); p.StatusCode != tc.status {
			t.Errorf("h1 %s with %.20q: %d, want %d", tc.path, tc.value, p.StatusCode, tc.status)
		}
	}
}
