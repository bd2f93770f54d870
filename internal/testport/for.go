package testport

import "testing"

// For is Keep until the test ends.
func For(t testing.TB) (address string) {
	t.Helper()
	address, release, err := Keep()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}
