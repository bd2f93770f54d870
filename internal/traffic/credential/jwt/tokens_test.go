package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/jwt"
)

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec2Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return must(k, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// the moment of these tests.
var moment = time.Unix(1_800_000_000, 0)

func jwk(id string, public any) jose.JSONWebKey { return jose.JSONWebKey{KeyID: id, Key: public} }

func keySet(t testing.TB, keys ...jose.JSONWebKey) *jwt.Keys {
	t.Helper()
	k, err := jwt.ParseKeys(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func all(t testing.TB) *jwt.Keys {
	return keySet(t, jwk("r", rsaKey().Public()), jwk("e", ecKey().Public()), jwk("e2", ec2Key().Public()), jwk("d", edKey().Public()))
}

func config(t testing.TB) jwt.Config {
	return jwt.Config{
		Name: "apps", Issuer: "https://id.example.com/", Audience: []string{"api", "api2"}, Keys: all(t),
		Algorithms: jwt.Algorithms(), Leeway: 30 * time.Second, SubjectClaim: "sub", Bearer: true,
	}
}

type object = map[string]any

// good are the claims of a good token, changed as change says; nil takes one away.
func good(change object) object {
	c := object{"iss": "https://id.example.com/", "aud": "api", "sub": "app-1", "exp": moment.Add(time.Minute).Unix()}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// signed is a token by that key.
func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, head object, claims any) []byte {
	t.Helper()
	o := &jose.SignerOptions{}
	for k, v := range head {
		o = o.WithHeader(jose.HeaderKey(k), v)
	}
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o))
	payload, isText := claims.(string)
	if !isText {
		payload = string(must(json.Marshal(claims)))
	}
	return []byte(must(must(s.Sign([]byte(payload))).CompactSerialize()))
}

func byEC(t testing.TB, claims any) []byte {
	return signed(t, jose.ES256, ecKey(), object{"kid": "e"}, claims)
}

// raw is a token with whatever header and signature.
func raw(head, payload any, signature []byte) []byte {
	enc := base64.RawURLEncoding.EncodeToString
	return []byte(enc(must(json.Marshal(head))) + "." + enc(must(json.Marshal(payload))) + "." + enc(signature))
}

func at(certificate *[32]byte) credential.Circumstances {
	return credential.Circumstances{Now: moment, Certificate: certificate}
}

func TestATokenOfEveryAlgorithmIsVerified(t *testing.T) {
	tokens := jwt.New(config(t))
	for _, tc := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
	}{
		{jose.RS256, rsaKey(), "r"}, {jose.RS384, rsaKey(), "r"}, {jose.RS512, rsaKey(), "r"}, {jose.PS256, rsaKey(), "r"}, {jose.PS512, rsaKey(), "r"},
		{jose.ES256, ecKey(), "e"}, {jose.ES384, ec2Key(), "e2"}, {jose.EdDSA, edKey(), "d"},
	} {
		token := signed(t, tc.alg, tc.key, object{"kid": tc.kid}, good(nil))
		if _, done, _ := tokens.Quick(token, at(nil)); done {
			t.Errorf("%s: known before it was verified", tc.alg)
		}
		if sub, failed := tokens.Verify(t.Context(), token, at(nil)); sub != "app-1" || failed != nil {
			t.Errorf("%s: %q, %v", tc.alg, sub, failed)
		}
		if sub, done, failed := tokens.Quick(token, at(nil)); sub != "app-1" || !done || failed != nil {
			t.Errorf("%s: not remembered: %q %t %v", tc.alg, sub, done, failed)
		}
		later := at(nil)
		later.Now = moment.Add(91 * time.Second)
		if _, done, failed := tokens.Quick(token, later); !done || failed == nil || failed.Code != countersign.CredentialExpired {
			t.Errorf("%s: remembered beyond its end: %t, %v", tc.alg, done, failed)
		}
	}
}

func TestWhatATokenHasToSay(t *testing.T) {
	strict := config(t)
	strict.Claims = []jwt.Claim{{Name: "scope", Values: []string{"read", "admin"}}, {Name: "groups", Values: []string{"ops"}}}
	strict.Type, strict.SubjectClaim = "at+jwt", "client_id"
	says := func(change object) object {
		c := object{"scope": "write read", "groups": []string{"dev", "ops"}, "client_id": "c"}
		maps.Copy(c, change)
		return good(c)
	}
	thumb := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	const invalid, expired, unbound, insufficient = countersign.CredentialInvalid, countersign.CredentialExpired, countersign.CredentialNotBound, countersign.CredentialInsufficient
	for name, tc := range map[string]struct {
		strict bool
		claims any
		head   object
		want   countersign.Code
	}{
		"good":                              {claims: good(nil)},
		"one of several audiences":          {claims: good(object{"aud": []string{"x", "api2"}})},
		"another issuer":                    {claims: good(object{"iss": "https://id.example.com"}), want: invalid},
		"no issuer":                         {claims: good(object{"iss": nil}), want: invalid},
		"an issuer in a list":               {claims: good(object{"iss": []string{"https://id.example.com/"}}), want: invalid},
		"Iss for iss":                       {claims: good(object{"iss": nil, "Iss": "https://id.example.com/"}), want: invalid},
		"another audience":                  {claims: good(object{"aud": "apis"}), want: invalid},
		"no audience":                       {claims: good(object{"aud": nil}), want: invalid},
		"an audience of another kind":       {claims: good(object{"aud": object{"api": 1}}), want: invalid},
		"no end":                            {claims: good(object{"exp": nil}), want: invalid},
		"an end that is text":               {claims: good(object{"exp": "1900000000"}), want: invalid},
		"an end beyond time":                {claims: good(object{"exp": 1e300}), want: invalid},
		"ended":                             {claims: good(object{"exp": moment.Add(-31 * time.Second).Unix()}), want: expired},
		"ended within the leeway":           {claims: good(object{"exp": moment.Add(-29 * time.Second).Unix()})},
		"not begun":                         {claims: good(object{"nbf": moment.Add(31 * time.Second).Unix()}), want: expired},
		"begun within the leeway":           {claims: good(object{"nbf": moment.Add(29 * time.Second).Unix()})},
		"a beginning that is text":          {claims: good(object{"nbf": "now"}), want: invalid},
		"no subject":                        {claims: good(object{"sub": nil}), want: invalid},
		"an empty subject":                  {claims: good(object{"sub": ""}), want: invalid},
		"a subject that is a number":        {claims: good(object{"sub": 7}), want: invalid},
		"a long subject":                    {claims: good(object{"sub": strings.Repeat("x", 257)}), want: invalid},
		"a name twice":                      {claims: `{"iss":"https://id.example.com/","aud":"x","aud":"api","sub":"a","exp":1900000000}`, want: invalid},
		"no object":                         {claims: `["iss"]`, want: invalid},
		"null":                              {claims: `null`, want: invalid},
		"no JSON":                           {claims: `iss`, want: invalid},
		"another confirmation":              {claims: good(object{"cnf": object{"jkt": thumb}}), want: unbound},
		"a confirmation that is none":       {claims: good(object{"cnf": thumb}), want: unbound},
		"a thumbprint that is none":         {claims: good(object{"cnf": object{"x5t#S256": "xx"}}), want: unbound},
		"bound, without a certificate":      {claims: good(object{"cnf": object{"x5t#S256": thumb}}), want: unbound},
		"strict: all of it":                 {strict: true, claims: says(nil), head: object{"typ": "application/AT+jwt"}},
		"strict: another type":              {strict: true, claims: says(nil), head: object{"typ": "JWT"}, want: invalid},
		"strict: no type":                   {strict: true, claims: says(nil), want: invalid},
		"strict: another scope":             {strict: true, claims: says(object{"scope": "readwrite"}), head: object{"typ": "at+jwt"}, want: insufficient},
		"strict: groups as one text":        {strict: true, claims: says(object{"groups": "dev ops"}), head: object{"typ": "at+jwt"}, want: insufficient},
		"strict: no groups":                 {strict: true, claims: says(object{"groups": nil}), head: object{"typ": "at+jwt"}, want: insufficient},
		"a critical header":                 {claims: good(nil), head: object{"crit": []string{"exp"}, "exp": 1}, want: invalid},
		"a critical header that jose knows": {claims: good(nil), head: object{"crit": []string{"b64"}, "b64": true}, want: invalid},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			if tc.strict {
				cfg = strict
			}
			head := object{"kid": "e"}
			maps.Copy(head, tc.head)
			sub, failed := jwt.New(cfg).Verify(t.Context(), signed(t, jose.ES256, ecKey(), head, tc.claims), at(nil))
			switch {
			case tc.want == "" && (failed != nil || sub == ""):
				t.Errorf("%q, %v", sub, failed)
			case tc.want != "" && (failed == nil || failed.Code != tc.want):
				t.Errorf("%q, %v; want %s", sub, failed, tc.want)
			}
		})
	}
}

// RFC 8725 section 2: what has been tried on others.
func TestForgedTokensAreRefused(t *testing.T) {
	cfg := config(t)
	asked := 0
	cfg.Renew = func(context.Context) { asked++ }
	tokens := jwt.New(cfg)
	// Of those who take the public key for the secret of an HMAC.
	confused := func(secret []byte, head object) []byte {
		unsigned := raw(head, good(nil), nil)
		mac := hmac.New(sha256.New, secret)
		mac.Write(unsigned[:len(unsigned)-1])
		return append(unsigned, base64.RawURLEncoding.EncodeToString(mac.Sum(nil))...)
	}
	pkix := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ours := byEC(t, good(nil))
	parts := strings.Split(string(ours), ".")
	other := strings.Split(string(byEC(t, good(object{"sub": "admin"}))), ".")
	jwkSet := object{"kid": "e", "jku": "https://attacker.example/jwks.json", "x5u": "https://attacker.example/x5u.pem"}
	for name, token := range map[string][]byte{
		"alg none":                        raw(object{"alg": "none", "kid": "e"}, good(nil), nil),
		"alg None":                        raw(object{"alg": "None", "kid": "e"}, good(nil), nil),
		"alg nOnE with a signature":       raw(object{"alg": "nOnE", "kid": "e"}, good(nil), []byte("x")),
		"no alg":                          raw(object{"kid": "e"}, good(nil), nil),
		"HS256 with the public key":       confused(pkix, object{"alg": "HS256", "kid": "r"}),
		"HS256 with the public key, PEM":  confused(inPEM, object{"alg": "HS256", "kid": "r"}),
		"RS256 by an HMAC":                confused(inPEM, object{"alg": "RS256", "kid": "r"}),
		"an empty signature":              []byte(parts[0] + "." + parts[1] + "."),
		"r and s of zero":                 []byte(parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))),
		"another payload":                 []byte(parts[0] + "." + other[1] + "." + parts[2]),
		"another key":                     signed(t, jose.ES256, stranger, object{"kid": "e"}, good(nil)),
		"a key that the header brings":    embedded(t, stranger),
		"a key that the header points at": signed(t, jose.ES256, stranger, jwkSet, good(nil)),
		"a key id that is a path":         signed(t, jose.ES256, stranger, object{"kid": "../../../../dev/null"}, good(nil)),
		"a key id that is SQL":            signed(t, jose.ES256, stranger, object{"kid": "x' UNION SELECT 'e"}, good(nil)),
		"a key id of another kind":        raw(object{"alg": "ES256", "kid": []string{"e"}}, good(nil), []byte("x")),
		"a key of another algorithm":      signed(t, jose.ES256, ecKey(), object{"kid": "r"}, good(nil)),
		"no key id among several keys":    signed(t, jose.RS256, must(rsa.GenerateKey(rand.Reader, 2048)), nil, good(nil)),
		"two parts":                       []byte(parts[0] + "." + parts[1]),
		"four parts":                      []byte(string(ours) + "."),
		"JSON":                            []byte(`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`),
		"padding":                         []byte(string(ours) + "="),
		"a blank":                         []byte(" " + string(ours)),
		"encrypted":                       []byte(parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[0] + "." + parts[1]),
		"nothing":                         {},
		"dots":                            []byte(".."),
		"1 MiB":                           append(ours[:len(ours):len(ours)], strings.Repeat("A", 1<<20)...),
		"1 MiB of dots":                   []byte(strings.Repeat(".", 1<<20)),
	} {
		sub, failed := tokens.Verify(t.Context(), token, at(nil))
		if failed == nil || failed.Code != countersign.CredentialInvalid || sub != "" {
			t.Errorf("%s: %q, %v", name, sub, failed)
		}
		if failed != nil && len(token) > 100 && strings.Contains(failed.Reason, string(token[:100])) {
			t.Errorf("%s: the token is in the reason", name)
		}
	}
	if sub, failed := tokens.Verify(t.Context(), ours, at(nil)); sub != "app-1" || failed != nil {
		t.Errorf("the good one: %q, %v", sub, failed)
	}
	if asked == 0 {
		t.Error("nobody asked for the keys that are not known")
	}
}

func embedded(t testing.TB, key *ecdsa.PrivateKey) []byte {
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "e"}}, &jose.SignerOptions{EmbedJWK: true}))
	return []byte(must(must(s.Sign(must(json.Marshal(good(nil))))).CompactSerialize()))
}

func TestAlgorithmsThatAreNotListedAreRefused(t *testing.T) {
	cfg := config(t)
	cfg.Algorithms = []string{"RS256"}
	tokens := jwt.New(cfg)
	if _, failed := tokens.Verify(t.Context(), byEC(t, good(nil)), at(nil)); failed == nil || failed.Code != countersign.CredentialInvalid {
		t.Errorf("ES256: %v", failed)
	}
	if _, failed := tokens.Verify(t.Context(), signed(t, jose.RS256, rsaKey(), object{"kid": "r"}, good(nil)), at(nil)); failed != nil {
		t.Errorf("RS256: %v", failed)
	}
}

func TestATokenWithoutKeyIDIsGoodWhereThereIsOneKeyForIt(t *testing.T) {
	cfg := config(t)
	cfg.Keys = keySet(t, jwk("r", rsaKey().Public()), jwk("", ecKey().Public()))
	if _, failed := jwt.New(cfg).Verify(t.Context(), signed(t, jose.ES256, ecKey(), nil, good(nil)), at(nil)); failed != nil {
		t.Error(failed)
	}
	cfg.Keys = keySet(t, jwk("a", ecKey().Public()), jwk("b", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()))
	if _, failed := jwt.New(cfg).Verify(t.Context(), signed(t, jose.ES256, ecKey(), nil, good(nil)), at(nil)); failed == nil {
		t.Error("one of two keys was guessed")
	}
}

// RFC 8705 section 3.1.
func TestABoundTokenIsGoodWithItsCertificateAlone(t *testing.T) {
	certificate, other := sha256.Sum256([]byte("certificate")), sha256.Sum256([]byte("other"))
	bound := byEC(t, good(object{"cnf": object{"x5t#S256": base64.RawURLEncoding.EncodeToString(certificate[:])}}))
	tokens := jwt.New(config(t))
	if sub, failed := tokens.Verify(t.Context(), bound, at(&certificate)); sub != "app-1" || failed != nil {
		t.Fatalf("%q, %v", sub, failed)
	}
	// Remembered, it is no less bound.
	for name, c := range map[string]*[32]byte{"another": &other, "no": nil} {
		for step, ask := range map[string]func() *credential.Failure{
			"quick":    func() *credential.Failure { _, _, f := tokens.Quick(bound, at(c)); return f },
			"verified": func() *credential.Failure { _, f := jwt.New(config(t)).Verify(t.Context(), bound, at(c)); return f },
		} {
			if f := ask(); f == nil || f.Code != countersign.CredentialNotBound {
				t.Errorf("with %s certificate, %s: %v", name, step, f)
			}
		}
	}
	cfg := config(t)
	cfg.Bound = true
	if _, f := jwt.New(cfg).Verify(t.Context(), byEC(t, good(nil)), at(&certificate)); f == nil || f.Code != countersign.CredentialNotBound {
		t.Errorf("a bearer's token where bound ones are required: %v", f)
	}
	if _, f := jwt.New(cfg).Verify(t.Context(), bound, at(&certificate)); f != nil {
		t.Errorf("a bound one where those are required: %v", f)
	}
}

// RFC 6750 section 3.
func TestAChallengeSaysWhatIsWrong(t *testing.T) {
	tokens := jwt.New(config(t))
	_, failed := tokens.Verify(t.Context(), []byte("x"), at(nil))
	for want, f := range map[string]*credential.Failure{
		`Bearer realm="apps"`: nil,
		`Bearer realm="apps", error="invalid_token", error_description="the token is not valid here"`: failed,
	} {
		if got := tokens.Challenge(f); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestKeySetsThatAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil { // GODEBUG decides whether there can be one
		weak = nil
	}
	set := func(keys ...jose.JSONWebKey) string {
		return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
	}
	cases := map[string]string{
		"nothing":         "",
		"no JSON":         "<html>",
		"no keys":         `{"keys":[]}`,
		"another object":  `{"access_token":"x"}`,
		"a list":          `[]`,
		"a private key":   set(jwk("e", ecKey())),
		"a symmetric key": set(jwk("s", []byte("secret secret secret secret secret"))),
		"for encryption":  set(jose.JSONWebKey{KeyID: "r", Key: rsaKey().Public(), Use: "enc"}),
		"off the curve":   `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`,
		"too many":        `{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`,
		"keys twice":      `{"keys":[],"keys":[]}`,
	}
	if weak != nil {
		cases["a weak key"] = set(jwk("r", weak.Public()))
	}
	for name, text := range cases {
		if k, err := jwt.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: %d keys", name, k.Len())
		}
	}
	// What is not understood is left out (RFC 7517 section 5).
	mixed := strings.Replace(set(jwk("e", ecKey().Public())), `[`, `[{"kty":"XYZ"},{"kty":"OKP","crv":"X25519","x":"AAAA"},{"kty":"RSA","use":"enc"},{"kty":"EC","key_ops":["deriveKey"]},`, 1)
	if k, err := jwt.ParseKeys([]byte(mixed)); err != nil || k.Len() != 1 {
		t.Errorf("%v, %v", k, err)
	}
}

func TestARememberedTokenAllocatesNothing(t *testing.T) {
	tokens := jwt.New(config(t))
	token := byEC(t, good(nil))
	if _, failed := tokens.Verify(t.Context(), token, at(nil)); failed != nil {
		t.Fatal(failed)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, done, failed := tokens.Quick(token, at(nil)); !done || failed != nil {
			t.Fatal(done, failed)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzToken(f *testing.F) {
	tokens := jwt.New(config(f))
	f.Add(byEC(f, good(nil)))
	f.Add(signed(f, jose.EdDSA, edKey(), object{"kid": "d", "crit": []string{"b64"}, "b64": true}, good(nil)))
	f.Add(raw(object{"alg": "ES256", "kid": "e", "jwk": object{"kty": "EC"}}, good(nil), []byte("x")))
	f.Add([]byte(".."))
	f.Fuzz(func(t *testing.T, token []byte) {
		sub, failed := tokens.Verify(t.Context(), token, at(nil))
		if (failed == nil) != (sub == "app-1") {
			t.Errorf("%q, %v", sub, failed)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk("e", ecKey().Public()), jwk("r", rsaKey().Public())}})))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := jwt.ParseKeys(data); err == nil && k.Len() == 0 {
			t.Error("a set without keys")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, tc := range []struct {
		name string
		alg  jose.SignatureAlgorithm
		key  crypto.Signer
		kid  string
	}{{"RS256", jose.RS256, rsaKey(), "r"}, {"ES256", jose.ES256, ecKey(), "e"}, {"EdDSA", jose.EdDSA, edKey(), "d"}} {
		token := signed(b, tc.alg, tc.key, object{"kid": tc.kid}, good(nil))
		tokens := jwt.New(config(b))
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, failed := tokens.Verify(b.Context(), token, at(nil)); failed != nil {
					b.Fatal(failed)
				}
			}
		})
		b.Run(tc.name+" remembered", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, done, failed := tokens.Quick(token, at(nil)); !done || failed != nil {
					b.Fatal(failed)
				}
			}
		})
	}
}
