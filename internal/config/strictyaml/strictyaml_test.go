package strictyaml

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type house struct {
	Name    string              `yaml:"name,required"`
	Rooms   []room              `yaml:"rooms"`
	Heights map[string]string   // no tag: not decoded
	Keys    map[string][]string `yaml:"keys" keys:"short" is:"short"`
	Open    bool                `yaml:"open" default:"true"`
	Age     int                 `yaml:"age" default:"7" range:"0..200"`
	Size    int64               `yaml:"size" default:"2KiB"`
	Rest    time.Duration       `yaml:"rest" default:"90s"`
	Words   []string            `yaml:"words" one:"a|b|c" later:"d" default:"a|b"`
	Cellar  *room               `yaml:"cellar"`
	Attic   room                `yaml:"attic"`
	_       Later               `yaml:"garden" instead:"name" hint:"today there is none"`
}

type room struct {
	Use string `yaml:"use,required,alone" is:"short"`
	Sqm int    `yaml:"sqm" default:"20"`
}

func decode(data string) (house, *Document) {
	var h house
	doc := Decode([]byte(data), &h, Options{
		Name: "f",
		Rules: map[string]Rule{"short": {Expected: "a short word", Check: func(s string) (string, string, bool) {
			return strings.ToUpper(s), "", len(s) < 10
		}}},
		LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"SIX": "6", "YES": "true", "EMPTY": "", "NEST": "${SIX}", "NUL": "a\x00b"}[name]
			return v, ok
		},
	})
	return h, doc
}

func TestDecode(t *testing.T) {
	defaults := house{Name: "n", Open: true, Age: 7, Size: 2048, Rest: 90 * time.Second, Words: []string{"a", "b"}, Attic: room{Sqm: 20}}
	with := func(change func(*house)) house {
		h := defaults
		change(&h)
		return h
	}
	for in, want := range map[string]house{
		"name: n":                          defaults,
		"\ufeffname: n\r\n":                defaults,
		"--- # c\n{\"name\": n}\n...\n":    defaults,
		"name: n\nopen: false":             with(func(h *house) { h.Open = false }),
		"name: n\nage: ${SIX}":             with(func(h *house) { h.Age = 6 }),
		"{name: n, open: '${YES}'}":        with(func(h *house) { h.Open = true }),
		"name: n\nsize: ${SIX}KiB":         with(func(h *house) { h.Size = 6 << 10 }),
		"name: n\nsize: 3":                 with(func(h *house) { h.Size = 3 }),
		"name: n\nsize: 0B":                with(func(h *house) { h.Size = 0 }),
		"name: n\nrest: 1h30m":             with(func(h *house) { h.Rest = 90 * time.Minute }),
		"name: n\nrest: 0":                 with(func(h *house) { h.Rest = 0 }),
		"name: n\nwords: c":                with(func(h *house) { h.Words = []string{"c"} }),
		"name: n\nwords: [c, a]":           with(func(h *house) { h.Words = []string{"c", "a"} }),
		"name: n\ncellar: wine":            with(func(h *house) { h.Cellar = &room{"WINE", 20} }),
		"name: n\ncellar: {use: wine}":     with(func(h *house) { h.Cellar = &room{"WINE", 20} }),
		"name: n\nattic: {use: x, sqm: 1}": with(func(h *house) { h.Attic = room{"X", 1} }),
		"name: n\nrooms: bath":             with(func(h *house) { h.Rooms = []room{{"BATH", 20}} }),
		"name: n\nrooms: [a, {use: b}]":    with(func(h *house) { h.Rooms = []room{{"A", 20}, {"B", 20}} }),
		"name: n\nrooms: [&r a, *r]":       with(func(h *house) { h.Rooms = []room{{"A", 20}, {"A", 20}} }),
		"name: |-\n  n":                    defaults,
		"name: ${SIX}-${SIX}":              with(func(h *house) { h.Name = "6-6" }),
		"name: $${SIX}$x{":                 with(func(h *house) { h.Name = "${SIX}$x{" }),
		"name: n\nkeys: {a: x, b: [y, z]}": with(func(h *house) { h.Keys = map[string][]string{"A": {"X"}, "B": {"Y", "Z"}} }),
		"name: ${NEST}":                    with(func(h *house) { h.Name = "${SIX}" }),
		"name: off":                        with(func(h *house) { h.Name = "off" }),
	} {
		h, doc := decode(in)
		if err := doc.Faults().Err(); err != nil {
			t.Errorf("%q:\n%v", in, err)
		} else if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestFaults(t *testing.T) {
	for in, want := range map[string]string{
		"age: 1":                       "f:1:1: name: found nothing, expected text; this key is required",
		"name: ${EMPTY}":               `f:1:7: name: found an empty text from "${EMPTY}", expected text`,
		"name: ${NUL}":                 `f:1:7: name: found "a\x00b", expected text without control characters`,
		"name: n\nage: '6'":            `f:2:6: age: found "6", expected a whole number from 0 to 200; write it without quotes`,
		"name: n\nage: 010":            "f:2:6: age: found 010, expected a whole number from 0 to 200",
		"name: n\nage: .inf":           "f:2:6: age: found .inf, expected a whole number from 0 to 200",
		"name: n\nopen: ${SIX}":        `f:2:7: open: found "6" from "${SIX}", expected true or false`,
		"name: n\nwords: [a, d, a]":    "f:2:12: words[1]: found \"d\", which is not supported yet, expected a, b or c\nf:2:15: words[2]: found \"a\" again, expected each value once",
		"name: n\nrooms: [ ~, [] ]":    "f:2:10: rooms[0]: found nothing, expected a short word, or a mapping with use, sqm; leave the key out\nf:2:13: rooms[1]: found a list, expected a short word, or a mapping with use, sqm",
		"name: n\nrooms: far too long": `f:2:8: rooms[0]: found "far too long", expected a short word`,
		"garden: {}":                   "f:1:1: garden: found a key that is not supported yet; today there is none",
		"garden: {}\nname: n":          "f:1:1: garden: found a key that is not supported yet; today there is none",
		"name: n\nkeys: {}":            "f:2:1: keys: found an empty mapping, expected a mapping of names to a short word, or a list of such; leave the key out",
		"name: n\nkeys: x":             `f:2:7: keys: found "x", expected a mapping of names to a short word, or a list of such`,
		"name: n\nkeys: {a: x, a: y}":  "f:2:14: keys.a: found the key again, expected each key once; it is on line 2 already",
		"name: n\nkeys: {a: far too long, a-long-name: x}": `f:2:11: keys.a[0]: found "far too long", expected a short word` + "\n" +
			`f:2:25: keys.a-long-name: found "a-long-name" as a name, expected a short word`,
		"name: n\nsqm: 3": "f:2:1: sqm: found an unknown key; sqm belongs in rooms[], cellar or attic",
	} {
		_, doc := decode(in)
		got := doc.Faults().Error()
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	long := strings.Repeat
	for name, data := range map[string]string{
		"too large":           "name: " + long("x", MaxSize),
		"flow lists":          "name: " + long("[", 1<<17),
		"flow mappings":       "name: " + long("{", 1<<17),
		"block lists":         long("- ", 1<<17),
		"complex keys":        long("? ", 1<<16),
		"indented mappings":   staircase(300),
		"anchors":             "name: " + long("&a ", 1<<16),
		"tags":                "name: " + long("!a ", 1<<16),
		"alias bomb":          bomb(30),
		"alias of itself":     "rooms: &a [*a]",
		"many values":         "words: [" + long("a,", maxValues) + "a]",
		"many keys":           keys(2 * maxKeys),
		"many unknown keys":   keys(maxKeys),
		"many items":          "words:\n" + long("- a\n", 1<<15),
		"many mappings":       "rooms:\n" + long("- {use: a}\n", maxKeys-1) + "- 1",
		"unfinished text":     `name: "` + long("\\n", 1<<16),
		"many line breaks":    "name: n" + long("\n", 1<<17) + "x",
		"many documents":      long("---\n", 1<<17),
		"closing brackets":    long("]", 1<<16),
		"closed and reopened": "name: " + long("[]", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, doc := decode(data)
			if doc.Faults().Err() == nil {
				t.Error("no fault")
			}
			// Far above what it takes, far below what an unbounded parser would.
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func staircase(steps int) string {
	var b strings.Builder
	for i := range steps {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("name: n\nrooms:\n  - &a0 [x, x]\n")
	for i := range levels {
		fmt.Fprintf(&b, "  - &a%d [*a%d, *a%d]\n", i+1, i, i)
	}
	return b.String()
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

// A list of lists is what aliases can multiply; the values are counted.
func TestAliasesAreCounted(t *testing.T) {
	type tree struct {
		Nodes [][][][]string `yaml:"nodes"`
	}
	fan := func(name, of string) string {
		return "&" + name + " [" + strings.Repeat("*"+of+",", 99) + "*" + of + "]"
	}
	data := "nodes:\n  - [[&a [" + numbers(100) + "]]]\n  - [" + fan("b", "a") + "]\n  - " + fan("c", "b") + "\n"
	var into tree
	faults := Decode([]byte(data), &into, Options{Name: "f"}).Faults()
	if want := "more than 50000 values"; !strings.Contains(faults.Error(), want) {
		t.Errorf("%.300v\nwant %s", faults, want)
	}
}

func numbers(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("w%d", i)
	}
	return strings.Join(s, ",")
}

func TestPlaces(t *testing.T) {
	_, doc := decode("name: n\nrooms:\n  - use: a\n    sqm: 3\n  - b\ncellar: c\n")
	for path, want := range map[string]string{
		"name":          "f:1:7: name: found x",
		"rooms":         "f:2:1: rooms: found x",
		"rooms[0]":      "f:3:5: rooms[0]: found x",
		"rooms[0].sqm":  "f:4:10: rooms[0].sqm: found x",
		"rooms[1].use":  "f:5:5: rooms[1].use: found x",
		"rooms[1].sqm":  "f:5:5: rooms[1].sqm: found x",
		"rooms[9].sqm":  "f:2:1: rooms[9].sqm: found x",
		"cellar.use":    "f:6:9: cellar.use: found x",
		"attic.use":     "f:1:1: attic.use: found x",
		"":              "f:1:1: found x",
		"not.there[1].": "f:1:1: not.there[1].: found x",
	} {
		if got := doc.Fault(path, "x", "", "").String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if doc.Has("attic") || !doc.Has("rooms[0].sqm") {
		t.Error("Has is wrong about what is written")
	}
	var none *Document
	if got := none.Fault("a.b", "x", "y", "z"); got != (Fault{Path: "a.b", Found: "x", Expected: "y", Hint: "z"}) {
		t.Errorf("nil document: %+v", got)
	}
}

func TestFaultsAreSortedAndSaidOnce(t *testing.T) {
	a, b := Fault{File: "f", Line: 2, Column: 1, Found: "a"}, Fault{File: "f", Line: 10, Column: 1, Found: "b", Warning: true}
	got := Faults{b, a, b, a}.Sorted()
	if diff := cmp.Diff(Faults{a, b}, got); diff != "" {
		t.Error(diff)
	}
	if got.Err() == nil || (Faults{b}).Err() != nil || (Faults)(nil).Err() != nil {
		t.Error("Err does not tell faults from warnings")
	}
}

func TestNearest(t *testing.T) {
	words := []string{"address", "client_auth", "name", "P-256"}
	for text, want := range map[string]string{
		"adress": "address", "addres": "address", "adrdess": "address", "client-auth": "client_auth", "clientauth": "client_auth",
		"Name": "name", "nmae": "name", "p256": "P-256", "x": "", "": "", "frobnicate": "", strings.Repeat("address", 20): "",
	} {
		if got := Nearest(text, words); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestMalformedTagPanics(t *testing.T) {
	for name, into := range map[string]any{
		"option": &struct {
			A string `yaml:"a,optional"`
		}{},
		"range": &struct {
			A int `yaml:"a" range:"1-2"`
		}{},
		"default": &struct {
			A int `yaml:"a" default:"x"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			Decode([]byte("a: 1"), into, Options{})
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"name: n", "rooms: [&a x, *a]", "a: {<<: *x}", "? [a]\n: b", "name: ${X}$${", "--- !t\n- a\n...\n---", "name: |\n x\n", "%YAML 1.2\n---\n", "{a, b: , &c : *c}", "name: \"\\u0000\"", "- - - -\n   - x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		start := time.Now()
		_, doc := decode(data)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		for _, fault := range doc.Faults() {
			if line := fault.String(); strings.ContainsAny(line, "\n\r\x00") {
				t.Errorf("a fault of more than a line: %q", line)
			}
		}
	})
}
