package testrequire

import (
	"os"
	"path/filepath"
	"testing"
)

// Trixie returns how a program of Debian 13 is run on an older system: its own
// loader with its libraries, without the rights that chroot takes. It is looked for
// below the directory that COUNTERSIGN_TRIXIE names, or countersign/trixie in the
// user's cache directory, where .ci/run has debootstrap put it.
func Trixie(t testing.TB, name string) (command []string) {
	t.Helper()
	root := os.Getenv("COUNTERSIGN_TRIXIE")
	if cache, err := os.UserCacheDir(); root == "" && err == nil {
		root = filepath.Join(cache, "countersign", "trixie")
	}
	program := filepath.Join(root, "usr/sbin", name)
	File(t, program, name+" of Debian 13, which .ci/run fetches")
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(loaders) == 0 {
		t.Fatalf("%s has no loader: let debootstrap make it anew", root)
	}
	return []string{loaders[0], "--library-path", filepath.Dir(loaders[0]), program}
}

// File demands a file that a package has. Without it the test is skipped, or fails
// when COUNTERSIGN_REQUIRE=all.
func File(t testing.TB, path, pkg string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("COUNTERSIGN_REQUIRE") == "all" {
		t.Fatalf("%s is not there (%s) and COUNTERSIGN_REQUIRE=all demands it", path, pkg)
	}
	t.Skipf("%s is not there (%s)", path, pkg)
}

// Right demands what takes rights that not everybody has. Without them, which err
// tells, the test is skipped, or fails when COUNTERSIGN_REQUIRE=all.
func Right(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("COUNTERSIGN_REQUIRE") == "all" {
		t.Fatalf("%s may not be made (%v) and COUNTERSIGN_REQUIRE=all demands them", what, err)
	}
	t.Skipf("%s may not be made: %v", what, err)
}
