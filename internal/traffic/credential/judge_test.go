package credential_test

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/apikey"
	"countersign.dev/internal/traffic/credential/basic"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/http1"
)

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// partners are API keys: acme has "key".
func partners(t testing.TB, name, header string) *credential.Credential {
	keys, faults := apikey.Parse(name, []byte(apikey.Line("acme", "key")))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return &credential.Credential{Name: name, Type: "api_key", Header: header, Scheme: keys}
}

// staff have passwords: ada has "x".
func staff(t testing.TB) *credential.Credential {
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, _ := basic.Parse("staff", []byte("ada:"+string(hash)), basic.NewTurns())
	return &credential.Credential{Name: "staff", Type: "basic", Header: "authorization", Word: "basic", Scheme: users}
}

func fields(pairs ...string) (all []http1.Field) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, http1.Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return all
}

// ask judges as the pipeline does: what is pending is resolved, and asked again.
func ask(t testing.TB, q credential.Question, first, second *credential.Requirement) (credential.Proof, *countersign.Denial, int) {
	t.Helper()
	q.Client, q.Now = identify.Anonymous(), moment
	if q.Evidence == nil {
		q.Evidence = &credential.Evidence{}
	}
	for resolved := 0; ; resolved++ {
		proof, denial := credential.Judge(&q, first, second)
		if !q.Evidence.Pending() {
			return proof, denial, resolved
		}
		if denial == nil || proof.Given() {
			t.Fatal("granted before everything was verified")
		}
		q.Evidence.Resolve(t.Context())
	}
}

func basicValue(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

func TestWhatIsRequiredHoldsOrIsRefusedWithWhatCanBeShown(t *testing.T) {
	p, p2, s := partners(t, "partners", "x-api-key"), partners(t, "others", "x-other-key"), staff(t)
	any, all, cert, shown := credential.AnyOf, credential.AllOf, credential.ClientCertificate, credential.Shown
	const missing, invalid, noCert = countersign.CredentialMissing, countersign.CredentialInvalid, countersign.ClientCertMissing
	const apiKey, password = `ApiKey realm="partners"`, `Basic realm="staff", charset="UTF-8"`
	for name, tc := range map[string]struct {
		first, second *credential.Requirement
		fields        []http1.Field
		subject       string
		want          countersign.Code
		challenges    []string
		resolved      int
	}{
		"nothing is required":              {},
		"a key":                            {first: shown(p), fields: fields("X-API-Key", "key"), subject: "acme"},
		"no key":                           {first: shown(p), fields: fields("X-Api-Keys", "key"), want: missing, challenges: []string{apiKey}},
		"another key":                      {first: shown(p), fields: fields("X-Api-Key", "yek"), want: invalid, challenges: []string{apiKey}},
		"a key twice":                      {first: shown(p), fields: fields("X-Api-Key", "key", "x-api-key", "key"), want: invalid, challenges: []string{apiKey}},
		"a password":                       {first: shown(s), fields: fields("Authorization", basicValue("ada:x")), subject: "ada", resolved: 1},
		"a password with another spelling": {first: shown(s), fields: fields("authorization", "bASIC   "+basicValue("ada:x")[6:]), subject: "ada", resolved: 1},
		"another password":                 {first: shown(s), fields: fields("Authorization", basicValue("ada:y")), want: invalid, challenges: []string{password}, resolved: 1},
		"another scheme":                   {first: shown(s), fields: fields("Authorization", "Bearer x"), want: missing, challenges: []string{password}},
		"a scheme that begins alike":       {first: shown(s), fields: fields("Authorization", "Basically x"), want: missing, challenges: []string{password}},
		"a scheme alone":                   {first: shown(s), fields: fields("Authorization", "Basic"), want: invalid, challenges: []string{password}},
		"two Authorization fields, one of them ours": {first: shown(s), fields: fields("Authorization", basicValue("ada:x"), "Authorization", "Bearer x"), want: invalid, challenges: []string{password}},
		"a certificate":                            {first: cert(), want: noCert},
		"any of, the second":                       {first: any(cert(), shown(s), shown(p)), fields: fields("X-Api-Key", "key"), subject: "acme"},
		"any of, a cheap one beside a dear one":    {first: any(shown(s), shown(p)), fields: fields("X-Api-Key", "key", "Authorization", basicValue("ada:y")), subject: "acme"},
		"any of, none":                             {first: any(cert(), shown(s), shown(p)), want: missing, challenges: []string{password, apiKey}},
		"any of, one that is wrong":                {first: any(cert(), shown(s), shown(p)), fields: fields("X-Api-Key", "yek"), want: invalid, challenges: []string{password, apiKey}},
		"all of":                                   {first: all(shown(s), shown(p)), fields: fields("X-Api-Key", "key", "Authorization", basicValue("ada:x")), subject: "ada", resolved: 1},
		"all of, one missing":                      {first: all(shown(s), shown(p)), fields: fields("Authorization", basicValue("ada:x")), want: missing, challenges: []string{password, apiKey}},
		"all of, only the certificate missing":     {first: all(shown(p), cert()), fields: fields("X-Api-Key", "key"), want: noCert},
		"all of, certificate and key missing":      {first: all(cert(), shown(p)), want: missing, challenges: []string{apiKey}},
		"of listener and rule, both":               {first: shown(p), second: shown(p2), fields: fields("X-Api-Key", "key", "X-Other-Key", "key"), subject: "acme"},
		"of listener and rule, the rule's missing": {first: shown(p), second: shown(p2), fields: fields("X-Api-Key", "key"), want: missing, challenges: []string{apiKey, `ApiKey realm="others"`}},
		"of listener and rule, the other missing":  {first: shown(p), second: shown(p2), fields: fields("X-Other-Key", "key"), want: missing, challenges: []string{apiKey, `ApiKey realm="others"`}},
		"any of within all of":                     {first: all(any(shown(p), shown(s)), shown(p2)), fields: fields("X-Other-Key", "key", "X-Api-Key", "key"), subject: "acme"},
		"any of nothing":                           {first: any(), want: countersign.CredentialNotProven},
		"all of nothing":                           {first: all(), want: countersign.CredentialNotProven},
		"the zero value":                           {first: &credential.Requirement{}, want: countersign.CredentialNotProven},
	} {
		t.Run(name, func(t *testing.T) {
			proof, denial, resolved := ask(t, credential.Question{Fields: tc.fields}, tc.first, tc.second)
			switch {
			case tc.want == "" && denial != nil:
				t.Errorf("refused: %v", denial)
			case tc.want != "" && (denial == nil || denial.Code != tc.want || proof.Given()):
				t.Errorf("%v, %q; want %s", denial, proof.Subject(), tc.want)
			case denial != nil && !slices.Equal(denial.Challenges, tc.challenges):
				t.Errorf("challenges %q, want %q", denial.Challenges, tc.challenges)
			}
			if proof.Subject() != tc.subject || proof.Given() != (tc.subject != "") {
				t.Errorf("subject %q, want %q", proof.Subject(), tc.subject)
			}
			if resolved > tc.resolved { // what is remembered need not be
				t.Errorf("verified %d times, want %d at most", resolved, tc.resolved)
			}
		})
	}
}

// Whoever forgets to wait for what takes long is refused.
func TestWhatWasNotVerifiedDoesNotHold(t *testing.T) {
	proof, denial := credential.Judge(&credential.Question{
		Client: identify.Anonymous(), Now: moment, Fields: fields("Authorization", basicValue("ada:x")),
	}, credential.Shown(staff(t)), nil)
	if denial == nil || denial.Code != countersign.CredentialNotProven || proof.Given() {
		t.Errorf("%v, %q", denial, proof.Subject())
	}
}

// A password is not computed for a request that is refused in any case.
func TestNothingIsVerifiedForARequestThatIsRefusedAnyway(t *testing.T) {
	r := credential.AllOf(credential.Shown(staff(t)), credential.Shown(partners(t, "partners", "x-api-key")))
	_, denial, resolved := ask(t, credential.Question{Fields: fields("Authorization", basicValue("ada:x"))}, r, nil)
	if denial == nil || denial.Code != countersign.CredentialMissing || resolved > 0 {
		t.Errorf("%v, verified %d times", denial, resolved)
	}
}

// What was found out about one request says nothing about another credential.
func TestEvidenceIsOfOneCredential(t *testing.T) {
	one, other := staff(t), staff(t)
	q := credential.Question{Fields: fields("Authorization", basicValue("ada:x")), Client: identify.Anonymous(), Now: moment, Evidence: &credential.Evidence{}}
	credential.Judge(&q, credential.Shown(one), nil)
	q.Evidence.Resolve(t.Context())
	if _, denial := credential.Judge(&q, credential.Shown(other), nil); denial == nil || !q.Evidence.Pending() {
		t.Errorf("taken for verified: %v", denial)
	}
}

func TestASourceThatFailsTooOftenHasToWait(t *testing.T) {
	p := credential.Shown(partners(t, "partners", "x-api-key"))
	attempts := credential.NewAttempts()
	now := moment
	try := func(source, key string) *countersign.Denial {
		_, denial := credential.Judge(&credential.Question{
			Client: identify.Anonymous(), Now: now, Fields: fields("X-Api-Key", key),
			Source: netip.MustParseAddr(source), Attempts: attempts, Most: 3,
		}, p, nil)
		return denial
	}
	for range 3 {
		if d := try("192.0.2.1", "wrong"); d.Code != countersign.CredentialInvalid {
			t.Fatal(d)
		}
	}
	d := try("192.0.2.1", "key")
	if d == nil || d.Code != countersign.CredentialLimit || d.RetryAfter <= 0 || d.RetryAfter > 20*time.Second {
		t.Fatalf("with the right one: %v, to wait %v", d, d.RetryAfter)
	}
	if d := try("::ffff:192.0.2.1", "key"); d == nil {
		t.Error("the same address was taken for another")
	}
	if d := try("192.0.2.2", "key"); d != nil {
		t.Errorf("somebody else: %v", d)
	}
	if _, d := credential.Judge(&credential.Question{Client: identify.Anonymous(), Now: now, Source: netip.MustParseAddr("192.0.2.1"), Attempts: attempts, Most: 3}, p, nil); d.Code != countersign.CredentialMissing {
		t.Errorf("showing nothing: %v", d)
	}
	for range 3 {
		try("2001:db8::1", "wrong")
	}
	if d := try("2001:db8::ffff:1", "key"); d == nil {
		t.Error("another address of the same /64 goes on guessing")
	}
	if d := try("2001:db8:0:1::1", "key"); d != nil {
		t.Errorf("another /64: %v", d)
	}
	now = now.Add(21 * time.Second)
	if d := try("192.0.2.1", "key"); d != nil {
		t.Errorf("after the wait: %v", d)
	}
	now = moment // a clock that was set back
	if d := try("192.0.2.1", "wrong"); d.Code != countersign.CredentialInvalid {
		t.Errorf("%v", d)
	}
}

func TestOnlyWhatWasAskedForIsWithheld(t *testing.T) {
	p, s := partners(t, "partners", "x-api-key"), staff(t)
	open := partners(t, "open", "x-open-key")
	open.Forwarded = true
	r := credential.AnyOf(credential.ClientCertificate(), credential.AllOf(credential.Shown(p), credential.Shown(s)), credential.Shown(open))
	for line, want := range map[string]bool{
		"X-Api-Key:k": true, "x-api-key:": true, "Authorization:Basic x": true, "authorization:basic x": true,
		"Authorization:Bearer x": false, "X-Api-Keys:k": false, "X-Open-Key:k": false, "Cookie:a": false,
	} {
		name, value, _ := strings.Cut(line, ":")
		if got := r.Withholds(&fields(name, value)[0]); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
	if (*credential.Requirement)(nil).Withholds(&fields("X-Api-Key", "k")[0]) {
		t.Error("withheld where nothing was asked for")
	}
}

func TestJudgingAKeyAllocatesNothing(t *testing.T) {
	r := credential.AnyOf(credential.ClientCertificate(), credential.Shown(partners(t, "partners", "x-api-key")))
	q := credential.Question{
		Client: identify.Anonymous(), Now: moment, Fields: fields("Host", "a", "X-Api-Key", "key"),
		Source: netip.MustParseAddr("192.0.2.1"), Attempts: credential.NewAttempts(), Most: 60, Evidence: &credential.Evidence{},
	}
	if n := testing.AllocsPerRun(100, func() {
		if p, d := credential.Judge(&q, r, nil); d != nil || p.Subject() != "acme" {
			t.Fatal(d)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
