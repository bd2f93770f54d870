package reading_test

import (
	"bytes"
	"testing"

	"countersign.dev/internal/traffic/route/reading"
)

func TestReadings(t *testing.T) {
	for _, tt := range []struct{ path, spelled, resolved, lenient string }{
		{"/", "/", "/", "/"},
		{"*", "*", "*", "*"},
		{"/a/b/", "/a/b/", "/a/b/", "/a/b/"},
		{"/.well-known/a..b/...", "/.well-known/a..b/...", "/.well-known/a..b/...", "/.well-known/a..b/..."},
		{"/%61%7euser/%2B%20", "/a~user/+%20", "/a~user/+%20", "/a~user/+%20"},
		{"/|\"%7c%22", "/%7C%22%7C%22", "/%7C%22%7C%22", "/%7C%22%7C%22"},
		{"//a///b//", "//a///b//", "/a/b/", "/a/b/"},
		{"/a/../b", "/a/../b", "/b", "/b"},
		{"/a/%2e%2E/b", "/a/../b", "/b", "/b"},
		{"/a/./b/.", "/a/./b/.", "/a/b/", "/a/b/"},
		{"/a/b/..", "/a/b/..", "/a/", "/a/"},
		{"/../../a", "/../../a", "/a", "/a"},
		{"/public/..%2fadmin", "/public/..%2Fadmin", "/public/..%2Fadmin", "/admin"},
		{"/public/..%252fadmin", "/public/..%252fadmin", "/public/..%252fadmin", "/admin"},
		{"/public/..\\admin", "/public/..%5Cadmin", "/public/..%5Cadmin", "/admin"},
		{"/public/..%5cadmin", "/public/..%5Cadmin", "/public/..%5Cadmin", "/admin"},
		{"/public/..;x=1/admin", "/public/..;x=1/admin", "/public/..;x=1/admin", "/admin"},
		{"/admin;x/y", "/admin;x/y", "/admin;x/y", "/admin/y"},
		{"/admin%3bx/y", "/admin%3Bx/y", "/admin%3Bx/y", "/admin/y"},
		{"/caf%c3%a9", "/caf%C3%A9", "/caf%C3%A9", "/caf%C3%A9"},
		{"/a%3Fb%23", "/a%3Fb%23", "/a%3Fb%23", "/a%3Fb%23"},
		{"/a%25b", "/a%25b", "/a%25b", "/a%25b"},
	} {
		spelled := reading.AppendSpelled(nil, []byte(tt.path))
		resolved := reading.AppendResolved([]byte("x"), spelled)[1:]
		lenient, _ := reading.AppendLenient([]byte("x"), nil, []byte(tt.path))
		if string(spelled) != tt.spelled || string(resolved) != tt.resolved || string(lenient[1:]) != tt.lenient {
			t.Errorf("%s: %s, %s, %s; want %s, %s, %s", tt.path, spelled, resolved, lenient[1:], tt.spelled, tt.resolved, tt.lenient)
		}
	}
}

func TestBrokenPathsAreKnown(t *testing.T) {
	for path, want := range map[string]bool{
		"/a%00.png": true, "/%0d%0aX:": true, "/%7f": true, "/..%c0%af": true, "/%C1%81": true, "/%e0%80%af": true, "/%f0%80%80%af": true,
		"/caf%c3%a9": false, "/%e9": false, "/%e0%a4%a8": false, "/%20": false, "/%": false, "/%0": false, "/a": false, "/%f0%9f%98%80": false,
	} {
		if got := reading.Broken([]byte(path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// A plain path is read in one way; a reading, read again, stays what it is.
func FuzzReadings(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "//a;x/%2e%2e/%2f", "/..;/%c0%af\\%25%32%66", "a/./..", "/%e0%80", ".."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		spelled := reading.AppendSpelled(nil, path)
		resolved := reading.AppendResolved(nil, spelled)
		lenient, _ := reading.AppendLenient(nil, nil, path)
		if reading.Plain(path) && len(path) > 0 && path[0] == '/' &&
			(!bytes.Equal(spelled, path) || !bytes.Equal(resolved, path) || !bytes.Equal(lenient, path)) {
			t.Fatalf("%q is plain, but read as %q, %q, %q", path, spelled, resolved, lenient)
		}
		if again := reading.AppendSpelled(nil, spelled); !bytes.Equal(again, spelled) {
			t.Errorf("%q: spelled %q, then %q", path, spelled, again)
		}
		if again := reading.AppendResolved(nil, resolved); !bytes.Equal(again, resolved) {
			t.Errorf("%q: resolved %q, then %q", path, resolved, again)
		}
		for _, r := range [][]byte{resolved, lenient} {
			if bytes.Contains(r, []byte("//")) || bytes.Contains(r, []byte("/../")) || bytes.Contains(r, []byte("/./")) {
				t.Errorf("%q: %q is not resolved", path, r)
			}
		}
		reading.Broken(path)
	})
}

func TestAPlainPathCostsNothing(t *testing.T) {
	path := []byte("/api/v1/things/4711/.well-known/x")
	if n := testing.AllocsPerRun(100, func() {
		if !reading.Plain(path) || reading.Broken(path) {
			t.Error("not plain")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
