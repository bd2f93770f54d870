package traffic_test

import (
	"fmt"
	"io"
	"testing"
	"time"
)

// webSocket is a client whose connection has switched protocols, and echoes.
func (r *rig) webSocket(header string) *client {
	r.t.Helper()
	c := r.dial(nil)
	c.send("Connection: Upgrade", "Upgrade: websocket", header)
	if p := c.reply(); p.StatusCode != 101 {
		r.t.Fatalf("got %d, want 101", p.StatusCode)
	}
	c.echoes("one")
	return c
}

func (c *client) echoes(word string) {
	c.t.Helper()
	got := make([]byte, len(word))
	if _, err := io.WriteString(c.conn, word); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.ReadFull(c.in, got); err != nil || string(got) != word {
		c.t.Fatalf("heard %q, %v, want %q", got, err, word)
	}
}

// startWithWebSockets is startWithCredentials before a backend that switches protocols.
func startWithWebSockets(t *testing.T, config string) (*rig, issuer) {
	t.Helper()
	r, apps := startWithCredentials(t, config)
	r.backend = upgraded(t)
	r.publish(config)
	return r, apps
}

// A connection that switched protocols has no next request: it ends by itself,
// though no byte passes.
func TestAKeyThatIsRemovedEndsItsSilentWebSocket(t *testing.T) {
	r, _ := startWithWebSockets(t, withCredentials)
	lost, kept := r.webSocket("X-Api-Key: secret-key"), r.webSocket("Authorization: "+adas)
	r.file("keys.txt", []byte("# nobody\n"))
	r.publish(withCredentials)
	lost.ended()
	r.journal.wait(t, event{"event": "access", "denial_code": "CredentialInvalid", "elb_status_code": 101})
	kept.echoes("two")
}

func TestAKeyThatIsRemovedEndsItsSilentWebSocketOverHTTP2AndNothingElse(t *testing.T) {
	r, _ := startWithCredentials(t, withCredentials)
	r.backend = accepting(t)
	r.publish(withCredentials)
	c := r.dial2(nil)
	c.openWebSocket("x-api-key", "secret-key")
	r.file("keys.txt", []byte("# nobody\n"))
	r.publish(withCredentials)
	if p := c.reply(1); !p.reset && !p.ended {
		t.Errorf("the stream goes on: %+v", p)
	}
	r.journal.wait(t, event{"event": "access", "type": "wss", "denial_code": "CredentialInvalid"})
	c.get("x-api-key", "secret-key").refused(t, 401, "CredentialInvalid")
}

func TestATokenThatEndsEndsItsSilentWebSocket(t *testing.T) {
	r, apps := startWithWebSockets(t, with(withCredentials, "jwks: jwks.json}", "jwks: jwks.json, leeway: 0s}"))
	until := time.Now().Add(5 * time.Second).Unix()
	lost := r.webSocket("Authorization: Bearer " + apps.token(t, map[string]any{"exp": until}))
	kept := r.webSocket("Authorization: Bearer " + apps.token(t, nil))
	lost.ended()
	if now := time.Now().Unix(); now < until {
		t.Errorf("it ended %d s too soon", until-now)
	}
	r.journal.wait(t, event{"event": "access", "denial_code": "CredentialExpired", "elb_status_code": 101})
	kept.echoes("two")
}

// That others guess from its address takes a WebSocket nothing of what it has shown;
// nor does it keep the one that has nothing left to show.
func TestGuessesOfOthersNeitherEndAWebSocketNorKeepIt(t *testing.T) {
	config := with(withCredentials, "    default: {forward: app}", "    limits: {credential_failures: 5}\n    default: {forward: app}")
	r, _ := startWithWebSockets(t, config)
	lost, kept := r.webSocket("X-Api-Key: secret-key"), r.webSocket("Authorization: "+adas)
	guesses := r.dial(nil)
	for n := 0; ; n++ {
		if p := guesses.get(fmt.Sprint("X-Api-Key: guess-", n)); p.StatusCode == 429 {
			break
		}
	}
	r.file("keys.txt", []byte("# nobody\n"))
	r.publish(config)
	kept.echoes("two") // and so it was asked about
	lost.ended()
	r.journal.wait(t, event{"event": "access", "denial_code": "CredentialInvalid", "elb_status_code": 101})
	kept.echoes("three")
}
