package publish_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

const (
	waits   = "the configuration waits for what is fetched for the first time"
	follows = "what the configuration in force names has changed, and is in force"
)

// withMore is fetchedConfig with one more list, with the settings given.
func (r *fetchRig) withMore(settings string) string {
	return strings.ReplaceAll(with(fetchedConfig, `crls: {url: "WEB/a.crl", ca: web.crt, timeout: 5s}`,
		`crls: [{url: "WEB/a.crl", ca: web.crt, timeout: 5s}, {url: "WEB/more.crl", ca: web.crt`+settings+`}]`), "WEB", r.web.url)
}

// A server that hangs holds up the configuration that names it, and nothing
// else: who is revoked meanwhile is refused.
func TestASourceThatHangsHoldsUpNothingElse(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	r := f.start()
	f.web.put("more.crl", testpki.NewRoot(t, "Fleet Issuing CA").CRL())
	arrive := f.web.hang(t, "more.crl")
	r.config(f.withMore(""))
	r.program.wait(t, waits, 1)
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6), testpki.Revoke(device)))
	r.again <- struct{}{}
	r.program.wait(t, follows, 1)
	if !revoked(t, r, device) {
		t.Error("the device is on the list in force, and is admitted")
	}
	if got := len(configured(r).TrustStores[0].Revocation.CRLs); got != 2 {
		t.Fatalf("the file has %d lists", got)
	}
	arrive()
	r.program.wait(t, inForce, 1)
	if !revoked(t, r, device) {
		t.Error("the device is admitted under the new configuration")
	}
	if good, bad := r.reloads(); bad != 0 {
		t.Errorf("%d good and %d bad publications: to wait is no failure", good, bad)
	}
}

// What is waited for and does not come is a fault of the configuration then.
func TestASourceThatHangsTooLongIsAFault(t *testing.T) {
	f := newFetchRig(t)
	r := f.start()
	f.web.hang(t, "more.crl")
	r.config(f.withMore(", timeout: 200ms"))
	r.program.wait(t, waits, 1)
	r.program.wait(t, "more.crl, which cannot be fetched (it did not arrive within 200ms", 1)
}

// A file with a fault does not keep a list from being enforced that the
// configuration in force names.
func TestAListIsEnforcedWhileTheFileHasAFault(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	r := f.start()
	r.config("listeners: 7\n")
	r.program.wait(t, refused, 1)
	if number := r.node.Current().Number; number != 1 {
		t.Errorf("snapshot %d is in force though nothing has changed", number)
	}
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6), testpki.Revoke(device)))
	r.again <- struct{}{}
	r.program.wait(t, follows, 1)
	if !revoked(t, r, device) {
		t.Error("the device is on the list in force, and is admitted")
	}
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(5)))
	r.again <- struct{}{}
	r.program.wait(t, "is older than the one in force", 1)
	if !revoked(t, r, device) {
		t.Error("an older list is in force")
	}
}

// However many servers hang, the list of another is fetched.
func TestManySourcesThatHangHoldUpNoOther(t *testing.T) {
	f := newFetchRig(t)
	device := f.root.Client("MacID-1")
	lists := `crls: [{url: "WEB/a.crl", ca: web.crt, timeout: 5s}`
	for i := range 9 {
		name := fmt.Sprintf("hangs-%d.crl", i)
		f.web.put(name, testpki.NewRoot(t, name).CRL())
		lists += fmt.Sprintf(`, {url: "WEB/%s", ca: web.crt, timeout: 5m}`, name)
	}
	f.config(with(fetchedConfig, `crls: {url: "WEB/a.crl", ca: web.crt, timeout: 5s}`, lists+"]"))
	r := f.start()
	for i := range 9 {
		f.web.hang(t, fmt.Sprintf("hangs-%d.crl", i))
	}
	f.web.put("a.crl", f.root.CRL(testpki.CRLNumber(6), testpki.Revoke(device)))
	r.again <- struct{}{}
	r.program.wait(t, `because="a source changed"`, 1)
	if !revoked(t, r, device) {
		t.Error("the device is on the list that was fetched, and is admitted")
	}
}
