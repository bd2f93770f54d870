package http_test

import (
	"io"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// named are two targets that answer with their names, and the status that a
// request asks for.
func (p pair) named(t testing.TB, change func(*setup)) (*bench, *nethttp.Client) {
	t.Helper()
	answer := func(name string) string {
		return goServer(t, p.target, func(w nethttp.ResponseWriter, r *nethttp.Request) {
			w.Header().Set("Name", name)
			w.Header().Set("Had", r.Header.Get("Cookie"))
			if r.URL.Path == "/503" {
				w.WriteHeader(503)
			}
		})
	}
	b := start(t, []string{answer("one"), answer("two")}, p.setup, change)
	return b, b.goClient(p.client)
}

// fetch returns the answer to a GET, its body read.
func (b *bench) fetch(c *nethttp.Client, path string, fields ...string) *nethttp.Response {
	b.t.Helper()
	r, err := nethttp.NewRequestWithContext(b.t.Context(), "GET", "http://"+b.address+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp
}

func TestACookieLeadsBackToTheTarget(t *testing.T) {
	keys, err := sticky.NewKeys(make([]byte, sticky.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	eachPair(t, func(t *testing.T, p pair) {
		b, c := p.named(t, func(s *setup) {
			s.group.Stickiness = &upstream.Stickiness{By: "cookie", Cookie: &sticky.Cookie{Name: "stay", Purpose: "test", Duration: time.Hour, Keys: keys}}
		})
		first := b.fetch(c, "/")
		cookies := first.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "stay" || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].MaxAge != 3600 {
			t.Fatalf("cookies %v", cookies)
		}
		home, pair := first.Header.Get("Name"), "stay="+cookies[0].Value
		for range 4 {
			resp := b.fetch(c, "/", "Cookie", "a=b; "+pair)
			if resp.Header.Get("Name") != home || len(resp.Cookies()) != 0 {
				t.Errorf("served by %s, cookies %v; want %s, and none", resp.Header.Get("Name"), resp.Cookies(), home)
			}
			if got := resp.Header.Get("Had"); got != "a=b; "+pair {
				t.Errorf("the target got %q", got)
			}
		}
		seen := map[string]bool{}
		for _, value := range []string{"stay=" + strings.Repeat("A", len(cookies[0].Value)), "stay=", "stay", "other=" + cookies[0].Value, "stay=" + cookies[0].Value[1:]} {
			resp := b.fetch(c, "/", "Cookie", value)
			if resp.StatusCode != 200 || len(resp.Cookies()) != 1 {
				t.Errorf("%.20q: status %d, cookies %v; want 200 and a new one", value, resp.StatusCode, resp.Cookies())
			}
			seen[resp.Header.Get("Name")] = true
		}
		if len(seen) != 2 {
			t.Errorf("cookies that are not ours lead to %v alone", seen)
		}
	})
}

func TestAGroupWithoutStickinessGivesNoCookie(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		b, c := p.named(t, func(*setup) {})
		if resp := b.fetch(c, "/", "Cookie", "stay=x"); len(resp.Cookies()) != 0 {
			t.Errorf("cookies %v", resp.Cookies())
		}
	})
}

func TestATargetThatAnswersWithFailuresIsLeftOut(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		b, c := p.named(t, func(s *setup) {
			s.group.Passive = &shares.PassiveHealth{Failures: 2, Ejection: time.Hour}
		})
		// Their turns alternate until one is left out, which the client may be ahead of:
		// a failure is counted when its answer is through. One of two always stays.
		last, row := "", 0
		for n := range 1000 {
			name := b.fetch(c, "/503").Header.Get("Name")
			if name != last {
				last, row = name, 0
			}
			if row++; row == 6 {
				break
			}
			if n == 999 {
				t.Fatal("both fail, and both are asked")
			}
		}
		for range 6 {
			if name := b.fetch(c, "/").Header.Get("Name"); name != last {
				t.Errorf("%s served, which was left out", name)
			}
		}
	})
}

func TestAFieldOfTheRequestSaysWhoServes(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		b, c := p.named(t, func(s *setup) { s.group.Algorithm, s.group.HashOn = "hash", "header:X-User" })
		homes := map[string]bool{}
		for _, user := range strings.Split("abcdefghijkl", "") {
			home := b.fetch(c, "/", "X-User", user).Header.Get("Name")
			if again := b.fetch(c, "/", "x-user", user).Header.Get("Name"); again != home {
				t.Errorf("%s was served by %s and %s", user, home, again)
			}
			homes[home] = true
		}
		if len(homes) != 2 {
			t.Errorf("all users are at %v", homes)
		}
	})
}

func TestWhoWaitsForAPlaceIsToldThatThereIsNone(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		held, release := make(chan bool, 1), make(chan bool)
		b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
			if r.URL.Path == "/held" {
				held <- true
				<-release
			}
		}, func(s *setup) {
			s.group.MaxConnections, s.group.Queue = 1, upstream.QueueConfig{Timeout: 10 * time.Millisecond}
		})
		done := make(chan *nethttp.Response, 1)
		go func() {
			resp, err := c.Get("http://" + b.address + "/held")
			if err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
			done <- resp
		}()
		<-held
		b.refusal(b.fetch(c, "/"))
		close(release)
		if resp := <-done; resp == nil || resp.StatusCode != 200 {
			t.Errorf("the first got %+v", resp)
		}
		if resp := b.fetch(c, "/"); resp.StatusCode != 200 {
			t.Errorf("when there is a place again: %d", resp.StatusCode)
		}
	})
}

// refusal fails the test unless the answer is that all targets are busy.
func (b *bench) refusal(resp *nethttp.Response) {
	b.t.Helper()
	if resp.StatusCode != 503 {
		b.t.Errorf("status %d, want 503", resp.StatusCode)
	}
	if r := b.result(); r.Denial == nil || r.Denial.Code != countersign.TargetsBusy {
		b.t.Errorf("%+v", r.Denial)
	}
}
