package publish_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
)

const (
	inForce = "configuration in force"
	refused = "configuration refused"
)

func TestAChangeOfTheFileComesIntoForce(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	r.run()
	r.config(with(plainConfig, "127.0.0.1:0", "127.0.0.2:0"))
	r.program.wait(t, inForce, 1)
	r.serves("127.0.0.2:0")
	if a := r.node.Addresses()["127.0.0.1:0"]; a != nil {
		t.Errorf("%v is still open", a)
	}
	if good, bad := r.reloads(); good != 2 || bad != 0 {
		t.Errorf("%d and %d publications are counted as good and bad, want 2 and 0", good, bad)
	}
}

func TestAChangeOfANamedFileComesIntoForce(t *testing.T) {
	r := newRig(t, goodConfig, nil)
	r.run()
	before := r.node.Current().Listener("devices").Policies.For("").Store
	r.replace("ca.crt", append(r.root.PEM(), testpki.NewRoot(t, "Another Root").PEM()...))
	r.program.wait(t, inForce, 1)
	after := r.node.Current().Listener("devices").Policies.For("").Store
	if before.Generation() == after.Generation() || len(after.Anchors()) != 2 {
		t.Errorf("the trust store has %d anchors, want the two of the new file", len(after.Anchors()))
	}
}

func TestARequestReadsTheFilesAgain(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	r.run()
	r.again <- struct{}{}
	text := r.program.wait(t, inForce, 1)
	if !strings.Contains(text, `because="asked to"`) || !strings.Contains(text, "snapshot=2") {
		t.Errorf("the log says %s", text)
	}
}

// Whatever is wrong, traffic goes on as before, and the log has every fault.
func TestABrokenChangeLeavesEverythingAsItWas(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	r.run()
	before, address := r.node.Current(), r.node.Addresses()["127.0.0.1:0"].String()

	r.config(with(plainConfig, "127.0.0.1:0", "127.0.0.2:0", "protocol: http", "protocol: htp", "forward: app", "forward: ap"))
	text := r.program.wait(t, refused, 1)
	for _, part := range []string{"faults=2", "countersign.yaml:3:", "listeners[0].protocol", "listeners[0].default.forward"} {
		if text = r.program.wait(t, part, 1); !strings.Contains(text, part) {
			t.Errorf("the log lacks %q", part)
		}
	}
	if r.node.Current() != before {
		t.Error("another snapshot is in force")
	}
	if a := r.node.Addresses(); len(a) != 1 || a["127.0.0.1:0"].String() != address {
		t.Errorf("it listens at %v, want %s alone", a, address)
	}
	r.serves("127.0.0.1:0")

	r.config(plainConfig)
	r.program.wait(t, inForce, 1)
	if good, bad := r.reloads(); good != 2 || bad != 1 {
		t.Errorf("%d and %d publications are counted as good and bad, want 2 and 1", good, bad)
	}
}

// The configuration names a file that is not there yet: once it is, nobody has
// to touch the configuration again.
func TestAFileThatWasMissingIsPickedUpWhenItComes(t *testing.T) {
	r := newRig(t, goodConfig, nil)
	r.run()
	r.config(with(goodConfig, "crls: [crl.pem]", "crls: [crl.pem, more.pem]"))
	r.program.wait(t, "more.pem, which cannot be read", 1)
	more := testpki.NewRoot(t, "Fleet Issuing CA")
	r.replace("more.pem", testpki.CRLPEM(more.CRL()))
	r.program.wait(t, inForce, 1)
}

// A file is broken and mended again, with the configuration as it was.
func TestAFileThatWasBrokenIsPickedUpWhenItIsMended(t *testing.T) {
	r := newRig(t, goodConfig, nil)
	r.run()
	r.replace("server.key", []byte("hello\n"))
	r.program.wait(t, "there is no private key in it", 1)
	r.replace("server.key", r.server.KeyPEM())
	r.program.wait(t, inForce, 1)
}

func TestAnAddressInUseRefusesTheWholeChange(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	busy := taken(t)
	before := r.node.Current()
	r.config(with(plainConfig, "target_groups:", fmt.Sprintf(`  - {name: free, address: "127.0.0.2:0", protocol: http, default: {forward: app}}
  - {name: busy, address: %q, protocol: http, default: {forward: app}}
target_groups:`, busy)))
	err := r.publisher.Publish(t.Context())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("countersign.yaml:5:27: listeners[2].address: found %s", busy+", where something listens already")) {
		t.Errorf("the error is %v, want one that names %s", err, busy)
	}
	if r.node.Current() != before || len(r.node.Addresses()) != 1 {
		t.Errorf("it listens at %v, want what it was", r.node.Addresses())
	}
	r.serves("127.0.0.1:0")
}

// What is beside the snapshot is part of the whole: refused there, refused
// everywhere, and what was opened for it is given back.
func TestWhatCannotBePreparedRefusesTheWholeChange(t *testing.T) {
	fail := errors.New("no admin address for you")
	var prepare error
	applied, abandoned := 0, 0
	r := newRig(t, plainConfig, func(*publish.Draft) (publish.Change, error) {
		return publish.Change{Apply: func() { applied++ }, Abandon: func() { abandoned++ }}, prepare
	})
	before := r.node.Current()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := ln.Addr().String()
	ln.Close()
	r.config(with(plainConfig, "127.0.0.1:0", free, "node: {admin: off}", "node: {admin: off}\nlogs: {access: {path: access.log}}"))
	prepare = fail
	if err := r.publisher.Publish(t.Context()); !errors.Is(err, fail) {
		t.Errorf("the error is %v", err)
	}
	if r.node.Current() != before || applied != 1 || abandoned != 0 {
		t.Errorf("snapshot changed: %t, applied %d, abandoned %d", r.node.Current() != before, applied, abandoned)
	}
	if ln, err := net.Listen("tcp", free); err != nil {
		t.Errorf("the address of the refused configuration was not given back: %v", err)
	} else {
		ln.Close()
	}
	if good, bad := r.reloads(); good != 1 || bad != 1 {
		t.Errorf("%d and %d publications are counted as good and bad, want 1 and 1", good, bad)
	}
}

func TestARevocationListMayNotGoBack(t *testing.T) {
	r := newRig(t, goodConfig, nil)
	device := r.root.Client("MacID-1")
	r.replace("crl.pem", r.root.CRL(testpki.CRLNumber(7), testpki.Revoke(device)))
	if err := r.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.node.Current()
	r.replace("crl.pem", r.root.CRL(testpki.CRLNumber(6)))
	err := r.publisher.Publish(t.Context())
	var faults config.Faults
	if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Path != "trust_stores[0].revocation.crls" ||
		!strings.Contains(faults[0].Found, "number 6") || !strings.Contains(faults[0].Found, "number 7") {
		t.Errorf("the error is %v, want a fault that names both numbers", err)
	}
	if r.node.Current() != before {
		t.Error("the older list is in force")
	}
	r.replace("crl.pem", r.root.CRL(testpki.CRLNumber(8)))
	if err := r.publisher.Publish(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWarningsAreLoggedOnceTheConfigurationIsInForce(t *testing.T) {
	r := newRig(t, goodConfig, nil)
	os.Chmod(r.path("server.key"), 0o604)
	if err := r.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.program.wait(t, "every user of this machine can read", 1)
}

func TestPublicationsAtOnceComeOneAfterTheOther(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	var running sync.WaitGroup
	const callers, times = 4, 5
	for range callers {
		running.Go(func() {
			for range times {
				if err := r.publisher.Publish(t.Context()); err != nil {
					t.Error(err)
				}
				if err := r.publisher.Reopen(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if n := r.node.Current().Number; n != callers*times+1 {
		t.Errorf("the snapshot's number is %d, want %d", n, callers*times+1)
	}
	r.serves("127.0.0.1:0")
}
