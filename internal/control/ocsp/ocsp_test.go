package ocsp

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	xocsp "golang.org/x/crypto/ocsp"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A party is a responder whose answers the test chooses.
type party struct {
	*httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newParty(t *testing.T, answer http.HandlerFunc) *party {
	p := &party{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *party) says(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func send200(w http.ResponseWriter, der []byte) {
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(der)
}

// says is a responder's answer to whatever it is asked.
func says(t *testing.T, o testpki.OCSP) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { send200(w, o.DER(t)) }
}

// requestOf returns what a request asks.
func requestOf(r *http.Request) ([]byte, error) {
	if r.Method == http.MethodPost {
		return io.ReadAll(r.Body)
	}
	text, err := url.QueryUnescape(r.URL.EscapedPath()[strings.LastIndexByte(r.URL.EscapedPath(), '/')+1:])
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

type rig struct {
	t *testing.T
	*Asker
	device  *testpki.Certificate
	party   *party
	line    *Line
	suspect chan revocation.Certificate
	held    atomic.Bool
	log     *lines
}

// lines is a log that a test looks into.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func newRig(t *testing.T, s Settings) *rig {
	r := &rig{t: t, suspect: make(chan revocation.Certificate, 64), log: &lines{}}
	r.device = testpki.NewRoot(t, "Root").Client("device")
	r.party = newParty(t, says(t, testpki.OCSP{Of: r.device}))
	r.Asker = New(Config{
		Logger:  slog.New(slog.NewTextHandler(r.log, nil)),
		Holds:   func(revocation.Certificate) bool { return r.held.Load() },
		Suspect: func(all []revocation.Certificate) { r.suspect <- all[0] },
	})
	t.Cleanup(r.Asker.Close)
	if s.Timeout == 0 {
		s.Timeout = 20 * time.Second
	}
	if s.Responder == "" && s.Hosts == nil {
		s.Responder = r.party.URL
	}
	r.line = r.Line(s)
	r.InForce([]*Line{r.line})
	return r
}

func path(c *testpki.Certificate) (p []*x509.Certificate) {
	for ; c != nil; c = c.Issuer {
		p = append(p, c.X509)
	}
	return p
}

// ask makes what a handshake makes of a client, and returns what is known then.
func (r *rig) ask(c *testpki.Certificate) *ocsp.Answer {
	r.t.Helper()
	if r.line.Lacks(path(c), time.Now()) {
		r.line.Inquire(r.t.Context(), path(c), time.Now())
	}
	a := r.line.View().Find(c.Issuer.X509, c.X509.SerialNumber)
	if a == nil {
		r.t.Fatal("nothing is known after the question")
	}
	return a
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

// outcomes of the rig's one responder.
func (r *rig) outcomes() map[string]uint64 {
	for _, s := range r.States() {
		return s.Outcomes
	}
	return nil
}

func TestAnAnswerIsAskedForOnce(t *testing.T) {
	r := newRig(t, Settings{})
	for range 3 {
		if a := r.ask(r.device); a.Status != ocsp.Good || a.Responder != r.party.URL {
			t.Fatalf("%+v", a)
		}
	}
	if n := r.party.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := r.outcomes()["good"]; n != 1 {
		t.Errorf("%d good answers are counted", n)
	}
}

// A hundred handshakes of one certificate at the same time.
func TestThereIsOneRequestAtATimeForACertificate(t *testing.T) {
	r := newRig(t, Settings{})
	release := make(chan struct{})
	r.party.says(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		send200(w, testpki.OCSP{Of: r.device}.DER(t))
	})
	var all, waiting sync.WaitGroup
	waiting.Add(100)
	for range 100 {
		all.Go(func() {
			lacks := r.line.Lacks(path(r.device), time.Now())
			waiting.Done()
			if lacks {
				r.line.Inquire(t.Context(), path(r.device), time.Now())
			}
			if a := r.line.View().Find(r.device.Issuer.X509, r.device.X509.SerialNumber); a == nil || a.Status != ocsp.Good {
				t.Errorf("%+v", a)
			}
		})
	}
	waiting.Wait()
	close(release)
	all.Wait()
	if n := r.party.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestWhatARequestIs(t *testing.T) {
	for name, c := range map[string]struct {
		settings Settings
		refuses  string // a method
		methods  []string
	}{
		"short, as a GET":                        {methods: []string{"GET", "GET"}},
		"with a nonce, as a POST":                {settings: Settings{Nonce: true}, methods: []string{"POST", "POST"}},
		"as a POST, once a GET has been refused": {refuses: "GET", methods: []string{"GET", "POST", "POST"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.settings)
			var mu sync.Mutex
			var methods []string
			r.party.says(func(w http.ResponseWriter, request *http.Request) {
				mu.Lock()
				methods = append(methods, request.Method)
				mu.Unlock()
				if request.Method == c.refuses {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				der, err := requestOf(request)
				if err != nil {
					t.Error(err)
				}
				asked, err := xocsp.ParseRequest(der)
				if err != nil {
					t.Error(err)
				}
				answer := testpki.OCSP{Of: r.device, Serial: asked.SerialNumber}
				if c.settings.Nonce {
					answer.Nonce = der[len(der)-32:]
				}
				send200(w, answer.DER(t))
			})
			for _, client := range []*testpki.Certificate{r.device, r.device.Issuer.Client("another")} {
				if a := r.ask(client); a.Status != ocsp.Good {
					t.Errorf("%+v", a)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(methods) != fmt.Sprint(c.methods) {
				t.Errorf("%v, want %v", methods, c.methods)
			}
		})
	}
}

// Whatever a responder does, there is no answer, and the reason says what it did.
func TestRespondersThatFail(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/ocsp-response")
		chunk := make([]byte, 64<<10)
		for range 10 << 14 { // ten gigabytes
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		says    func(r *rig) http.HandlerFunc
		nonce   bool
		timeout time.Duration
		want    string
		outcome string
	}{
		"an HTML page": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html><p>Maintenance") }
		}, want: `the content type "text/html"`, outcome: outcomeFailed},
		"an HTML page that says it is an answer": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { send200(w, []byte("<!doctype html><p>Maintenance")) }
		}, want: "not one of RFC 6960", outcome: outcomeInvalid},
		"ten gigabytes": {says: func(*rig) http.HandlerFunc { return endless }, want: "more than 65536 bytes", outcome: outcomeFailed},
		"an error": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}, want: "502 Bad Gateway; want 200", outcome: outcomeFailed},
		"elsewhere": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
			}
		}, want: `it sends us to another URL, "http://169.254.169.254/latest/meta-data", which is not followed`, outcome: outcomeFailed},
		"half an answer": {says: func(r *rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "5000")
				send200(w, testpki.OCSP{Of: r.device}.DER(r.t))
			}
		}, want: "unexpected EOF", outcome: outcomeFailed},
		"nothing": {says: func(*rig) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, timeout: 100 * time.Millisecond, want: "it did not answer within 100ms (revocation.ocsp.timeout)", outcome: outcomeFailed},
		"try later": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { send200(w, xocsp.TryLaterErrorResponse) }
		}, want: "it answers try later", outcome: outcomeRefused},
		"not for you": {says: func(*rig) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { send200(w, xocsp.UnauthorizedErrorResponse) }
		}, want: "it answers unauthorized", outcome: outcomeInvalid},
		"an answer without the nonce": {nonce: true, says: func(r *rig) http.HandlerFunc { return says(r.t, testpki.OCSP{Of: r.device}) },
			want: "lacks the nonce", outcome: outcomeInvalid},
		"an answer that has ended": {says: func(r *rig) http.HandlerFunc {
			return says(r.t, testpki.OCSP{Of: r.device, ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(-time.Hour)})
		}, want: "should have been replaced by", outcome: outcomeInvalid},
		"an answer from the future": {says: func(r *rig) http.HandlerFunc {
			return says(r.t, testpki.OCSP{Of: r.device, ThisUpdate: time.Now().Add(time.Hour), NextUpdate: time.Now().Add(2 * time.Hour)})
		}, want: "in the future", outcome: outcomeInvalid},
		"an answer of a stranger": {says: func(r *rig) http.HandlerFunc {
			return says(r.t, testpki.OCSP{Of: r.device, Signer: testpki.NewRoot(r.t, "Stranger")})
		}, want: "has not certified itself", outcome: outcomeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Settings{Nonce: c.nonce, Timeout: c.timeout})
			r.party.says(c.says(r))
			a := r.ask(r.device)
			if a.Status != "" || !strings.Contains(a.Fault, c.want) || !strings.Contains(a.Fault, "the OCSP responder "+r.party.URL) {
				t.Errorf("%q, %q; want %q", a.Status, a.Fault, c.want)
			}
			if n := r.outcomes()[c.outcome]; n != 1 {
				t.Errorf("%v; want 1 %s", r.outcomes(), c.outcome)
			}
			asked := r.party.asked.Load()
			r.ask(r.device)
			if r.party.asked.Load() != asked {
				t.Error("asked again at once")
			}
		})
	}
}

func TestTheRespondersOfACertificateAreAskedWhereTheyAreAllowed(t *testing.T) {
	r := newRig(t, Settings{Hosts: []string{"127.0.0.1", "localhost"}})
	port := r.party.URL[strings.LastIndexByte(r.party.URL, ':'):]
	dead := httptest.NewServer(nil)
	dead.Close()
	for name, c := range map[string]struct {
		urls   []string
		status ocsp.Status
		fault  string
	}{
		"by address":                       {urls: []string{r.party.URL}, status: ocsp.Good},
		"by name":                          {urls: []string{"http://localhost" + port + "/ocsp"}, status: ocsp.Good},
		"the second, if the first is dead": {urls: []string{dead.URL, r.party.URL}, status: ocsp.Good},
		"the second, if the first is not allowed": {urls: []string{"http://internal.example.com", r.party.URL}, status: ocsp.Good},
		"none":                      {fault: "names no OCSP responder"},
		"a host that is not listed": {urls: []string{"http://internal.example.com/"}, fault: "revocation.hosts does not list internal.example.com"},
		"an address that is not":    {urls: []string{"http://10.1.2.3/"}, fault: "revocation.hosts does not list 10.1.2.3"},
		"a file":                    {urls: []string{"file:///etc/passwd"}, fault: `want http:// or https://`},
		"LDAP":                      {urls: []string{"ldap://127.0.0.1/"}, fault: `want http:// or https://`},
	} {
		t.Run(name, func(t *testing.T) {
			client := r.device.Issuer.Client("client", testpki.Template(func(x *x509.Certificate) { x.OCSPServer = c.urls }))
			r.party.says(says(t, testpki.OCSP{Of: client}))
			a := r.ask(client)
			if a.Status != c.status || !strings.Contains(a.Fault, c.fault) || c.fault != "" && a.Fault == "" {
				t.Errorf("%+v; want %q, %q", a, c.status, c.fault)
			}
		})
	}
}

// A name may be on the list, and the address it leads to is checked all the same.
func TestTheAddressThatIsConnectedToIsChecked(t *testing.T) {
	r := newRig(t, Settings{Hosts: []string{"ocsp.example.com"}})
	_, err := r.clientsOf(r.line).direct.Get(r.party.URL)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1 is not a public address") || r.party.asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, r.party.asked.Load())
	}
}

// After three failures it is chance no more: the responder is left alone, then
// tried by one, and once it answers by all.
func TestAResponderThatFailsIsLeftAloneForAWhile(t *testing.T) {
	r := newRig(t, Settings{})
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	r.party.says(broken)
	clients := make([]*testpki.Certificate, 40)
	for i := range clients {
		clients[i] = r.device.Issuer.Client(fmt.Sprint("client ", i))
	}
	for _, c := range clients[:20] {
		if a := r.ask(c); a.Status != "" {
			t.Fatalf("%+v", a)
		}
	}
	// A GET, then a POST, for each of the three.
	if n := r.party.asked.Load(); n != 2*patience {
		t.Errorf("asked %d times for 20 certificates", n)
	}
	if o := r.outcomes(); o[outcomeFailed] != patience || o[outcomeSkipped] != 20-patience {
		t.Errorf("%v", o)
	}
	if a := r.ask(clients[20]); !strings.Contains(a.Fault, "it failed 3 times in a row and is asked again in") || !strings.Contains(a.Fault, "500 Internal Server Error") {
		t.Errorf("%q", a.Fault)
	}
	if n := r.log.count("an OCSP responder does not answer as it should"); n != 1 {
		t.Errorf("the log was told %d times", n)
	}
	r.party.says(func(w http.ResponseWriter, request *http.Request) {
		der, _ := requestOf(request)
		asked, _ := xocsp.ParseRequest(der)
		send200(w, testpki.OCSP{Of: r.device, Serial: asked.SerialNumber}.DER(t))
	})
	deadline := time.Now().Add(20 * time.Second)
	for i := 21; ; i++ {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked any more")
		}
		c := r.device.Issuer.Client(fmt.Sprint("client ", i))
		if r.ask(c).Status == ocsp.Good {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range clients[30:] {
		if a := r.ask(c); a.Status != ocsp.Good {
			t.Errorf("after it is back: %+v", a)
		}
	}
	if n := r.log.count("an OCSP responder answers again"); n != 1 {
		t.Errorf("the log was told of its return %d times", n)
	}
}

// Half its time before it ends, and only if somebody is connected.
func TestAnAnswerIsRenewedForThoseWhoAreConnected(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprint("connected ", connected), func(t *testing.T) {
			r := newRig(t, Settings{})
			r.held.Store(connected)
			status := atomic.Int64{}
			r.party.says(func(w http.ResponseWriter, _ *http.Request) {
				send200(w, testpki.OCSP{Of: r.device, Status: int(status.Load()), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(4 * time.Second)}.DER(t))
			})
			r.run()
			if a := r.ask(r.device); a.Status != ocsp.Good {
				t.Fatalf("%+v", a)
			}
			status.Store(1)
			if !connected {
				for len(r.scheduled()) > 0 {
					time.Sleep(10 * time.Millisecond)
				}
				if n := r.party.asked.Load(); n != 1 {
					t.Errorf("asked %d times about somebody who is gone", n)
				}
				return
			}
			select {
			case c := <-r.suspect:
				if string(c.Issuer) != string(r.device.X509.RawIssuer) || string(c.Serial) != string(r.device.X509.SerialNumber.Bytes()) {
					t.Errorf("%x is suspected", c)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("nobody is suspected")
			}
			if a := r.ask(r.device); a.Status != ocsp.Revoked {
				t.Errorf("%+v", a)
			}
		})
	}
}

func (a *Asker) scheduled() renewals {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.schedule.heap
}

// An answer that is soon to end does not make the next handshake wait.
func TestAnAnswerThatEndsSoonIsRenewedBehindTheHandshake(t *testing.T) {
	r := newRig(t, Settings{})
	now := time.Now()
	k := ocsp.KeyOf(r.line.view.Terms, r.device.Issuer.X509, r.device.X509.SerialNumber)
	r.memory.Put(k, &ocsp.Answer{Status: ocsp.Good, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Minute), Again: now.Add(-time.Second)}, now)
	answered := make(chan struct{})
	r.party.says(func(w http.ResponseWriter, _ *http.Request) {
		send200(w, testpki.OCSP{Of: r.device}.DER(t))
		close(answered)
	})
	if r.line.Lacks(path(r.device), now) {
		t.Error("the handshake waits")
	}
	<-answered
}

func TestWhoWaitsWaitsNoLongerThanItsContext(t *testing.T) {
	r := newRig(t, Settings{})
	release := make(chan struct{})
	r.party.says(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.line.Inquire(ctx, path(r.device), time.Now())
	if r.line.View().Find(r.device.Issuer.X509, r.device.X509.SerialNumber) != nil {
		t.Error("something is known that nobody said")
	}
}

// A storm against a responder that takes everything and says nothing.
func TestAStormAgainstADeadResponderEndsInTime(t *testing.T) {
	r := newRig(t, Settings{Timeout: 300 * time.Millisecond})
	var under, most atomic.Int64
	r.party.says(func(_ http.ResponseWriter, request *http.Request) {
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-request.Context().Done()
		under.Add(-1)
	})
	clients := make([]*testpki.Certificate, 200)
	for i := range clients {
		clients[i] = r.device.Issuer.Client(fmt.Sprint("client ", i))
	}
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			if a := r.ask(c); a.Status != "" || a.Fault == "" {
				t.Errorf("%+v", a)
			}
		})
	}
	all.Wait()
	// The responder may notice late that nobody waits any more: those who were
	// given up overlap with those who come in their place.
	if n := most.Load(); n > 2*eachAtOnce {
		t.Errorf("%d requests at once to one responder", n)
	}
	asked := r.party.asked.Load()
	for i := range 50 {
		r.ask(r.device.Issuer.Client(fmt.Sprint("late ", i)))
	}
	if more := r.party.asked.Load() - asked; more > 10 { // a probe now and then: how many depends on how long this takes
		t.Errorf("asked %d times more, about fifty certificates", more)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	r := newRig(t, Settings{})
	began := make(chan struct{})
	r.party.says(func(_ http.ResponseWriter, request *http.Request) { close(began); <-request.Context().Done() })
	done := make(chan struct{})
	go func() {
		r.line.Inquire(context.Background(), path(r.device), time.Now())
		close(done)
	}()
	<-began
	r.Close()
	<-done
	if r.fly(r.line, &subject{}, nil) != nil {
		t.Error("asked after the end")
	}
}

func TestAnUnknownCertificateIsAskedAboutAgainSoon(t *testing.T) {
	r := newRig(t, Settings{})
	r.party.says(says(t, testpki.OCSP{Of: r.device, Status: 2, NextUpdate: time.Now().Add(24 * time.Hour)}))
	if a := r.ask(r.device); a.Status != ocsp.Unknown || a.Again.After(time.Now().Add(unknownFor)) {
		t.Errorf("%+v", a)
	}
}

func TestAURLIsToldWithoutItsQuery(t *testing.T) {
	if got := name("http://user:secret@ocsp.example.com/a?token=secret#b"); got != "http://ocsp.example.com/a" {
		t.Error(got)
	}
	if name(":") != "(no URL)" {
		t.Error(name(":"))
	}
}

func TestACertificateThatFailsIsAskedAboutEverMoreRarely(t *testing.T) {
	now := time.Now()
	last := time.Duration(0)
	for failures := 1; failures < 20; failures++ {
		wait := renewalOf(&ocsp.Answer{Fault: "nothing", Failures: failures, Again: now.Add(failedFor)}, now).Sub(now)
		if wait < last*9/10 || wait > renewedFor {
			t.Errorf("%v after failure %d, %v before", wait, failures, last)
		}
		last = wait
	}
	if last < renewedFor*9/10 {
		t.Errorf("%v in the end", last)
	}
	r := newRig(t, Settings{})
	r.party.says(func(w http.ResponseWriter, _ *http.Request) { send200(w, xocsp.UnauthorizedErrorResponse) })
	for i := range 3 {
		s, err := r.line.subject(r.device.X509, r.device.Issuer.X509)
		if err != nil {
			t.Fatal(err)
		}
		<-r.fly(r.line, s, nil).done
		if a := r.line.View().Find(r.device.Issuer.X509, r.device.X509.SerialNumber); a.Failures != i+1 {
			t.Errorf("%d failures are counted, want %d", a.Failures, i+1)
		}
	}
}

// Another responder is configured while somebody is connected: that one renews the
// answer, which the first one gave.
func TestAnswersOutliveAChangeOfTheResponder(t *testing.T) {
	r := newRig(t, Settings{TrustStore: "fleet"})
	r.held.Store(true)
	r.party.says(func(w http.ResponseWriter, _ *http.Request) {
		send200(w, testpki.OCSP{Of: r.device, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(4 * time.Second)}.DER(t))
	})
	if a := r.ask(r.device); a.Status != ocsp.Good {
		t.Fatalf("%+v", a)
	}
	renewed := make(chan struct{}, 16)
	second := newParty(t, func(w http.ResponseWriter, _ *http.Request) {
		send200(w, testpki.OCSP{Of: r.device}.DER(t))
		renewed <- struct{}{}
	})
	r.line = r.Line(Settings{TrustStore: "fleet", Responder: second.URL, Timeout: 20 * time.Second})
	r.InForce([]*Line{r.line})
	if a := r.ask(r.device); a.Status != ocsp.Good || a.Responder != r.party.URL || second.asked.Load() != 0 {
		t.Errorf("asked anew: %+v", a)
	}
	r.run()
	select {
	case <-renewed:
	case <-time.After(20 * time.Second):
		t.Fatal("the second is not asked")
	}
	if n := r.party.asked.Load(); n != 1 {
		t.Errorf("the first one was asked %d times", n)
	}
}
