// Package testrequire provides the programs that a test runs against.
//
// On a machine with Go alone such a test skips with the program's name; where
// COUNTERSIGN_REQUIRE=all is set, as in CI, it fails instead, so that a green
// run never hides a missing counterpart.
package testrequire

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of the program called name. Without it the test is
// skipped, or fails when COUNTERSIGN_REQUIRE=all.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	// Debian keeps servers in directories that a user's PATH may lack.
	for _, dir := range []string{"/usr/sbin/", "/usr/local/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	if os.Getenv("COUNTERSIGN_REQUIRE") == "all" {
		t.Fatalf("%s is not installed and COUNTERSIGN_REQUIRE=all demands it", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}
