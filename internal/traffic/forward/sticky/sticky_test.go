package sticky

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/wire/http1"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func keys(t testing.TB, of ...byte) *Keys {
	t.Helper()
	var secrets [][]byte
	for _, b := range of {
		secrets = append(secrets, bytes.Repeat([]byte{b}, KeySize))
	}
	k, err := NewKeys(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func cookie(t testing.TB) *Cookie {
	return &Cookie{Name: "stay", Purpose: "target of api", Duration: time.Hour, Keys: keys(t, 1)}
}

// sent is the Cookie field of a client that was given the Set-Cookie value.
func sent(set []byte) []http1.Field {
	pair, _, _ := bytes.Cut(set, []byte(";"))
	return []http1.Field{{Kind: http1.Cookie, Value: append([]byte("a=b; "), pair...)}, {Kind: http1.Cookie, Value: []byte("c=d")}}
}

func TestACookieLeadsBackToWhereItIsFrom(t *testing.T) {
	c := cookie(t)
	set := c.Append(nil, 42, now, true)
	if got := string(set[bytes.IndexByte(set, ';'):]); got != "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure" {
		t.Errorf("attributes %s", got)
	}
	if value, young := c.Find(sent(set), now.Add(time.Minute)); value != 42 || !young {
		t.Errorf("after a minute: %d, young %v", value, young)
	}
	if value, young := c.Find(sent(set), now.Add(7*time.Minute)); value != 42 || young {
		t.Errorf("after more than a tenth of its time: %d, young %v; want it renewed", value, young)
	}
	if value, _ := c.Find(sent(set), now.Add(time.Hour)); value != 0 {
		t.Errorf("when it is over: %d", value)
	}
	if bytes.Contains(c.Append(nil, 42, now, false), []byte("Secure")) {
		t.Error("a client without TLS would not send a Secure cookie back")
	}
}

func TestWhatIsNotOursIsIgnored(t *testing.T) {
	c := cookie(t)
	set := c.Append(nil, 42, now, true)
	text, _, _ := strings.Cut(strings.TrimPrefix(string(set), "stay="), ";")
	find := func(c *Cookie, text string) uint64 {
		value, _ := c.Find([]http1.Field{{Kind: http1.Cookie, Value: []byte("stay=" + text)}}, now)
		return value
	}
	if find(c, text) != 42 {
		t.Fatal("the cookie itself is not found")
	}
	for i := range text {
		for _, letter := range []byte("Ab9_") {
			changed := []byte(text)
			if changed[i] == letter {
				continue
			}
			changed[i] = letter
			if got := find(c, string(changed)); got != 0 {
				t.Fatalf("with %q at %d it says %d", letter, i, got)
			}
		}
	}
	for _, text := range []string{"", "x", text + "A", text[:len(text)-1], `"` + text + `"`, strings.Repeat("A", len(text)), strings.Repeat("!", len(text)), strings.Repeat("A", 1<<20)} {
		if got := find(c, text); got != 0 {
			t.Errorf("%.40q says %d", text, got)
		}
	}
	foreign := *c
	foreign.Keys = keys(t, 2)
	other := *c
	other.Purpose = "target of web"
	if find(&foreign, text) != 0 || find(&other, text) != 0 {
		t.Error("it opens under another key, or for another group")
	}
}

func TestKeysAreExchangedWithoutLosingAnybody(t *testing.T) {
	c := cookie(t)
	set := c.Append(nil, 42, now, true)
	c.Keys = keys(t, 2, 1)
	if value, _ := c.Find(sent(set), now); value != 42 {
		t.Errorf("with another key in front: %d", value)
	}
	set = c.Append(nil, 43, now, true)
	c.Keys = keys(t, 2)
	if value, _ := c.Find(sent(set), now); value != 43 {
		t.Errorf("what the key in front has sealed, without the old one: %d", value)
	}
}

func TestNothingOpensWhenItIsTooOld(t *testing.T) {
	k := keys(t, 1)
	text := k.Append(nil, "p", Seal{Value: 1, Made: now, Until: now.Add(365 * day)})
	for after, want := range map[time.Duration]bool{0: true, MaxAge - time.Second: true, MaxAge: false, 30 * day: false, -12 * time.Hour: true, -48 * time.Hour: false} {
		if _, ok := k.Open(text, "p", now.Add(after)); ok != want {
			t.Errorf("%v after it was made it opens: %v", after, ok)
		}
	}
	if _, err := NewKeys([]byte("short")); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("a short key: %v", err)
	}
}

func TestReadingACookieAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("a sync.Pool gives up some of what it has under the race detector")
	}
	c := cookie(t)
	fields := sent(c.Append(nil, 42, now, true))
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { c.Find(fields, now) }); n != 0 {
		t.Errorf("Find: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.Append(buf, 42, now, true) }); n != 0 {
		t.Errorf("Append: %v allocations", n)
	}
}

func FuzzOpen(f *testing.F) {
	k := keys(f, 1)
	f.Add(k.Append(nil, "p", Seal{Value: 1, Made: now, Until: now.Add(day)}))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, ok := k.Open(text, "p", now)
		if ok && (s.Value != 1 || !s.Until.Equal(now.Add(day))) {
			t.Fatalf("%q opens as %+v, which nobody sealed", text, s)
		}
	})
}

func TestMemoryForgetsWhoDoesNotComeBack(t *testing.T) {
	at := now
	m := NewMemory(func() time.Time { return at })
	m.Keep(time.Minute)
	m.Settle(1, 42)
	if m.Home(1) != 42 || m.Home(2) != 0 || m.Home(0) != 0 {
		t.Errorf("homes %d, %d, %d", m.Home(1), m.Home(2), m.Home(0))
	}
	at = at.Add(50 * time.Second)
	m.Settle(1, 43)
	at = at.Add(50 * time.Second)
	if m.Home(1) != 43 {
		t.Errorf("who came back in time is at home at %d", m.Home(1))
	}
	at = at.Add(11 * time.Second)
	if m.Home(1) != 0 {
		t.Error("it is remembered for longer than it should be")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	at := now
	m := NewMemory(func() time.Time { return at })
	m.Keep(time.Minute)
	count := func() (n int) {
		for i := range m.shards {
			n += len(m.shards[i].homes)
		}
		return n
	}
	for i := range Remembered + Remembered/4 {
		m.Settle(balance.Key(1).With(balance.Key(i)), 1)
	}
	if n := count(); n > Remembered || n < Remembered/2 {
		t.Errorf("%d clients are remembered, at most %d should be", n, Remembered)
	}
	at = at.Add(time.Hour)
	for i := range Remembered / 2 {
		m.Settle(balance.Key(2).With(balance.Key(i)), 1)
	}
	if n := count(); n > Remembered*5/8 {
		t.Errorf("%d are left of those who have not come for an hour", n)
	}
}
