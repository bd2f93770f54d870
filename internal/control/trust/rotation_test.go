package trust_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/trust"
	"countersign.dev/internal/testpki"
)

func TestAFleetMovesFromOneAuthorityToTheNext(t *testing.T) {
	old, next := testpki.NewRoot(t, "Fleet CA 1"), testpki.NewRoot(t, "Fleet CA 2")
	r := start(t, configuration, old)
	var visits []*visit
	for i := range 3 {
		visits = append(visits, r.comes(old.Client(fmt.Sprint("device-", i))))
	}
	r.remembered(3)

	// The overlap: nobody is concerned.
	d := r.stage(pem(old, next))
	if d.Asked != 3 || d.Connected != 3 || d.Accepted != 3 || d.Refused != 0 {
		t.Fatalf("of %d clients, %d connected, %d would be accepted and %d refused; want 3, 3, 3, 0", d.Asked, d.Connected, d.Accepted, d.Refused)
	}
	if a := anchor(t, d, next); a.Change != "added" || !a.Unused {
		t.Errorf("the new anchor is %+v, want it added and unused", a)
	}
	if a := anchor(t, d, old); a.Change != "kept" || a.Unused || a.Clients != 3 || a.Connected != 3 {
		t.Errorf("the old anchor is %+v, want it kept with three clients", a)
	}
	r.commit(0)
	for _, v := range visits {
		if err := v.ask(); err != nil {
			t.Errorf("a client lost its connection: %v", err)
		}
	}

	// Two of three are issued anew; all have left.
	for i := range 2 {
		visits = append(visits, r.comes(next.Client(fmt.Sprint("device-", i))))
	}
	r.remembered(5)
	r.leave(visits...)
	r.again()

	d = r.stage(pem(next))
	if names(d.RefusedClients) != "device-2" || d.Refused != 1 || d.Cut != 0 {
		t.Errorf("refused would be %q (%d, %d of them connected), want device-2", names(d.RefusedClients), d.Refused, d.Cut)
	}
	if d.Replaced != 2 || d.Accepted != 2 || d.Codes["ClientCertUntrusted"] != 1 {
		t.Errorf("%d are replaced, %d accepted, codes %v; want 2, 2 and one untrusted", d.Replaced, d.Accepted, d.Codes)
	}
	if c := d.RefusedClients[0]; c.Connected || c.Reason == "" || c.Listener != "devices" || time.Since(c.LastSeen) > time.Minute {
		t.Errorf("the refused client is %+v", c)
	}
	if a := anchor(t, d, old); a.Change != "removed" || a.Clients != 3 || a.LastUsed.IsZero() {
		t.Errorf("the old anchor is %+v, want it removed, with three clients today", a)
	}
	_, err := r.Commit(t.Context(), "fleet", 0)
	r.refusedWith(err, trust.WouldRefuse, "1 clients", "--refuse 1")

	// The last one comes with its new certificate.
	last := r.comes(next.Client("device-2"))
	r.remembered(6)
	if d = r.diff(); d.Refused != 0 || d.Replaced != 3 {
		t.Fatalf("%d would be refused, %d are replaced; want none and 3", d.Refused, d.Replaced)
	}
	r.commit(0)
	if err := last.ask(); err != nil {
		t.Error(err)
	}
	// What is no longer needed is reported with the next candidate.
	d = r.stage(pem(next, old))
	if a := anchor(t, d, old); a.Change != "added" || d.Admitted != 3 {
		t.Errorf("with the old anchor back %d would be admitted again, want 3", d.Admitted)
	}
}

func TestWhoIsRefusedTodayAndWouldBeAcceptedIsNamed(t *testing.T) {
	old, next := testpki.NewRoot(t, "Fleet CA 1"), testpki.NewRoot(t, "Fleet CA 2")
	r := start(t, configuration, old)
	if r.try(next.Client("early")) == nil || r.try(testpki.NewRoot(t, "Nobody's CA").Client("stranger")) == nil {
		t.Fatal("a client of an authority that is not in the bundle is accepted")
	}
	r.comes(old.Client("device"))
	r.until(2, "of the refused are remembered", func() int { return len(r.witness.Memory().Strangers()) })
	d := r.stage(pem(old, next))
	if names(d.AdmittedClients) != "early" || d.Admitted != 1 || d.Asked != 1 || d.Refused != 0 {
		t.Errorf("%q would be admitted, %d are asked and %d refused; want early, 1 and none", names(d.AdmittedClients), d.Asked, d.Refused)
	}
	if c := d.AdmittedClients[0]; c.Code != "ClientCertUntrusted" || c.Reason == "" {
		t.Errorf("why it is refused today is %s, %q", c.Code, c.Reason)
	}
}

func TestAnAnchorThatNobodyNeedsIsReportedWithItsLastUse(t *testing.T) {
	used, idle := testpki.NewRoot(t, "Used CA"), testpki.NewRoot(t, "Idle CA")
	r := start(t, configuration, used, idle)
	gone := r.comes(idle.Client("gone"))
	r.comes(used.Client("stays"))
	r.remembered(2)
	gone.CloseIdleConnections()
	d := r.stage(pem(used, idle, testpki.NewRoot(t, "Third CA")))
	if a := anchor(t, d, idle); a.Unused || a.LastUsed.IsZero() {
		t.Errorf("an anchor with a client that is remembered is %+v", a)
	}
	if a := anchor(t, d, used); a.Unused || a.Clients != 1 {
		t.Errorf("an anchor with a client is %+v", a)
	}
}

func TestConnectedClientsThatACommitRefusesLoseTheirConnections(t *testing.T) {
	old, next := testpki.NewRoot(t, "Fleet CA 1"), testpki.NewRoot(t, "Fleet CA 2")
	r := start(t, configuration, old, next)
	stays, goes := r.comes(next.Client("stays")), r.comes(old.Client("goes"))
	d := r.stage(pem(next))
	if names(d.RefusedClients) != "goes" || d.Cut != 1 || !d.RefusedClients[0].Connected {
		t.Fatalf("%q would be refused and %d cut, want goes and 1", names(d.RefusedClients), d.Cut)
	}
	done := r.commit(1)
	if content(t, done.File) != string(pem(next)) || content(t, done.Kept) != string(pem(old, next)) {
		t.Error("the files are not what they should be")
	}
	r.until(1, "connections are there", r.node.Connections)
	if stays.ask() != nil || goes.ask() == nil {
		t.Error("the wrong one has lost its connection")
	}
	if left, err := r.Staged(); err != nil || len(left) != 0 {
		t.Errorf("after the commit %v is staged (%v)", left, err)
	}
}

func TestAuthoritiesOfOneNameAreToldApartByTheirKeys(t *testing.T) {
	for _, newFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("the new one first: ", newFirst), func(t *testing.T) {
			old, next := testpki.NewRoot(t, "Fleet CA"), testpki.NewRoot(t, "Fleet CA")
			r := start(t, configuration, old)
			r.comes(old.Client("old"))
			both := pem(old, next)
			if newFirst {
				both = pem(next, old)
			}
			d := r.stage(both)
			if d.Refused != 0 {
				t.Fatalf("with both, %q would be refused", names(d.RefusedClients))
			}
			if a := anchor(t, d, next); len(a.Relations) != 1 || !strings.Contains(a.Relations[0], "another key") {
				t.Errorf("the new anchor's relations are %q", a.Relations)
			}
			r.commit(0)
			r.comes(next.Client("new"))
			if d = r.stage(pem(next)); names(d.RefusedClients) != "old" {
				t.Errorf("without the old one, %q would be refused, want old", names(d.RefusedClients))
			}
			if d = r.stage(pem(old)); names(d.RefusedClients) != "new" {
				t.Errorf("without the new one, %q would be refused, want new", names(d.RefusedClients))
			}
		})
	}
}

func TestACrossSignedAuthorityKeepsItsClients(t *testing.T) {
	old := testpki.NewRoot(t, "Fleet CA 1")
	next := testpki.NewRoot(t, "Fleet CA 2")
	// The same key and name, from the old one: what cross-signing means.
	cross := old.Intermediate("Fleet CA 2", testpki.WithKey(next.Key), testpki.Template(func(c *x509.Certificate) { c.SubjectKeyId = next.X509.SubjectKeyId }))
	r := start(t, configuration, old)
	// A device of the new one that presents the cross certificate is accepted by the old bundle.
	device := next.Client("device")
	device.Issuer = cross
	r.comes(device)
	r.remembered(1)
	d := r.stage(pem(next))
	if d.Refused != 0 || d.Accepted != 1 {
		t.Fatalf("%d would be refused: %+v", d.Refused, d.RefusedClients)
	}
	if d = r.stage(pem(old, cross)); d.Refused != 0 {
		t.Fatalf("%d would be refused: %+v", d.Refused, d.RefusedClients)
	}
	if a := anchor(t, d, cross); len(a.Relations) != 1 || !strings.Contains(a.Relations[0], "issued by") {
		t.Errorf("the cross certificate's relations are %q", a.Relations)
	}
	d = r.stage(pem(old, cross, next))
	if a := anchor(t, d, next); len(a.Relations) != 1 || !strings.Contains(a.Relations[0], "cross-signed") {
		t.Errorf("the new anchor's relations are %q", a.Relations)
	}
}

func TestARevocationListIsHeldAgainstClients(t *testing.T) {
	ca := testpki.NewRoot(t, "Fleet CA")
	good, bad, away := ca.Client("good"), ca.Client("bad"), ca.Client("away")
	r := start(t, withLists, ca)
	r.comes(good)
	r.comes(bad)
	gone := r.comes(away)
	r.remembered(3)
	gone.CloseIdleConnections()
	d := r.stage(testpki.CRLPEM(ca.CRL(testpki.CRLNumber(2), testpki.Revoke(bad, away))))
	if d.Refused != 2 || d.Codes["ClientCertCrlHit"] != 2 {
		t.Errorf("%d would be refused with %v, want 2 on the list", d.Refused, d.Codes)
	}
	if len(d.Lists) != 1 {
		t.Fatalf("%d lists, want 1", len(d.Lists))
	}
	if l := d.Lists[0]; l.Change != "replaced" || l.Number != "2" || l.Before != "1" || l.Entries != 2 || l.Added != 2 || l.Removed != 0 {
		t.Errorf("the list is %+v", l)
	}
	_, err := r.Stage(t.Context(), "fleet", "", testpki.CRLPEM(ca.CRL(testpki.CRLNumber(0))))
	r.refusedWith(err, trust.Invalid, "older than the one in force")
	if d := r.diff(); d.Refused != 2 {
		t.Error("a candidate that was refused has taken another one's place")
	}
	// Somebody publishes another list meanwhile.
	r.file("fleet.crl", testpki.CRLPEM(ca.CRL(testpki.CRLNumber(3))))
	_, err = r.Commit(t.Context(), "fleet", 2)
	r.refusedWith(err, trust.BaseChanged, "stage again")
}

func TestWhatAReloadWouldRefuseIsNotStaged(t *testing.T) {
	ca := testpki.NewRoot(t, "Fleet CA")
	r := start(t, configuration, ca)
	for name, c := range map[string]struct {
		content []byte
		code    trust.Code
		words   string
	}{
		"nothing":            {nil, trust.Invalid, "empty"},
		"the same":           {pem(ca), trust.Invalid, "that very content"},
		"twice":              {pem(ca, testpki.NewRoot(t, "Other CA"), ca), trust.Invalid, "each certificate once"},
		"a client's":         {pem(ca.Client("device")), trust.Invalid, "CA"},
		"two kinds":          {append(pem(ca), testpki.CRLPEM(ca.CRL())...), trust.Invalid, "split it"},
		"DER":                {ca.X509.Raw, trust.Invalid, "openssl x509"},
		"no list wanted":     {testpki.CRLPEM(ca.CRL()), trust.WhichSource, "revocation.crls"},
		"no DER list wanted": {ca.CRL(), trust.WhichSource, "revocation.crls"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Stage(t.Context(), "fleet", "", c.content)
			r.refusedWith(err, c.code, c.words)
		})
	}
	_, err := r.Stage(t.Context(), "flet", "", pem(ca))
	r.refusedWith(err, trust.StoreUnknown, "flet")
	_, err = r.Diff(t.Context(), "fleet", 1)
	r.refusedWith(err, trust.NothingStaged, "trust stage fleet FILE")
	_, err = r.Abort("fleet")
	r.refusedWith(err, trust.NothingStaged)
	other := pem(testpki.NewRoot(t, "Other CA"))
	_, err = r.Stage(t.Context(), "fleet", "other.crt", other)
	r.refusedWith(err, trust.WhichSource, "ca.crt", "--for")
	for _, spelled := range []string{"ca.crt", "./ca.crt", filepath.Join(r.dir, "ca.crt")} {
		if _, err := r.Stage(t.Context(), "fleet", spelled, other); err != nil {
			t.Errorf("--for %s: %v", spelled, err)
		}
	}
}

func TestACandidateSurvivesARestartAndCanBeForgotten(t *testing.T) {
	ca := testpki.NewRoot(t, "Fleet CA")
	r := start(t, configuration, ca)
	r.stage(pem(ca, testpki.NewRoot(t, "Other CA")))
	r.again()
	all, err := r.Staged()
	if err != nil || len(all) != 1 || all[0].TrustStore != "fleet" || all[0].Kind != "bundle" {
		t.Fatalf("staged is %+v (%v)", all, err)
	}
	path := filepath.Join(r.dir, "data", "staged", "fleet.candidate")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want mode 0600", path, info, err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Diff(t.Context(), "fleet", 1)
	r.refusedWith(err, trust.NothingStaged, "not what was staged")
	r.stage(pem(ca, testpki.NewRoot(t, "Other CA")))
	if _, err := r.Abort("fleet"); err != nil {
		t.Fatal(err)
	}
	if all, _ := r.Staged(); len(all) != 0 {
		t.Errorf("staged is %+v", all)
	}
}

func TestWhatAURLHasIsStagedAndComparedButNotCommitted(t *testing.T) {
	old, next := testpki.NewRoot(t, "Fleet CA 1"), testpki.NewRoot(t, "Fleet CA 2")
	web := testpki.NewRoot(t, "Web CA")
	shown := web.Server("localhost").TLS()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(pem(old)) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{shown}}
	server.StartTLS()
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	url := "https://localhost:" + port + "/fleet.pem"
	authorities := testpki.WriteFile(t, filepath.Join(t.TempDir(), "web.crt"), web.PEM())
	r := start(t, strings.Replace(configuration, "[ca.crt]", fmt.Sprintf("[{url: %q, ca: %q}, ca.crt]", url, authorities), 1), next)
	r.comes(old.Client("goes"))
	r.comes(next.Client("stays"))
	third := testpki.NewRoot(t, "Fleet CA 3")
	_, err := r.Stage(t.Context(), "fleet", "", pem(third))
	r.refusedWith(err, trust.WhichSource, url, "ca.crt")
	if _, err := r.Stage(t.Context(), "fleet", url, pem(third)); err != nil {
		t.Fatal(err)
	}
	d := r.diff()
	if names(d.RefusedClients) != "goes" || !d.Candidate.Remote || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], url) {
		t.Errorf("%q would be refused, with the notes %q", names(d.RefusedClients), d.Notes)
	}
	_, err = r.Commit(t.Context(), "fleet", 1)
	r.refusedWith(err, trust.Remote, url, "trust abort fleet")
	// The file beside it can be replaced; what the URL has stays in force.
	if _, err := r.Stage(t.Context(), "fleet", "ca.crt", pem(next, third)); err != nil {
		t.Fatal(err)
	}
	if d := r.diff(); d.Refused != 0 || len(d.Anchors) != 3 {
		t.Errorf("%d would be refused, with %d anchors; want none, and 3", d.Refused, len(d.Anchors))
	}
	r.commit(0)
}

func TestAFileOfTwoTrustStoresConcernsTheClientsOfBoth(t *testing.T) {
	ca, next := testpki.NewRoot(t, "Fleet CA"), testpki.NewRoot(t, "Next CA")
	two := strings.Replace(configuration, "trust_stores:", `  - name: others
    address: "127.0.0.2:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: others}
    default: {forward: app}
trust_stores:
  - {name: others, ca_bundle: [ca.crt]}`, 1)
	r := start(t, two, ca)
	r.comes(ca.Client("one"))
	r.comesTo("127.0.0.2:0", ca.Client("two"))
	d := r.stage(pem(next))
	if d.Refused != 2 || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "others") {
		t.Errorf("%q would be refused, with the notes %q", names(d.RefusedClients), d.Notes)
	}
}

func TestACommitAgainstAConfigurationThatIsAtFaultComesIntoForceOrChangesNothing(t *testing.T) {
	ca, next := testpki.NewRoot(t, "Fleet CA"), testpki.NewRoot(t, "Next CA")
	r := start(t, configuration, ca)
	r.stage(pem(ca, next))
	good := content(t, filepath.Join(r.dir, "countersign.yaml"))
	r.file("countersign.yaml", []byte("listeners: nonsense\n"))
	done, err := r.Commit(t.Context(), "fleet", 0)
	accepted := r.try(next.Client("new")) == nil
	switch {
	case err == nil && !accepted:
		t.Errorf("%s was committed, and is not in force", done.File)
	case err != nil && accepted:
		t.Errorf("the commit was refused (%v), and is in force", err)
	case err != nil && content(t, filepath.Join(r.dir, "ca.crt")) != string(pem(ca)):
		t.Error("the commit was refused, and the file is another one")
	}
	r.file("countersign.yaml", []byte(good))
}

func TestACommitKeepsModeAndLinks(t *testing.T) {
	ca, other := testpki.NewRoot(t, "Fleet CA"), testpki.NewRoot(t, "Other CA")
	r := start(t, configuration, ca)
	link, real := filepath.Join(r.dir, "ca.crt"), filepath.Join(r.dir, "real.crt")
	if err := os.Rename(link, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.crt", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	r.stage(pem(ca, other))
	done := r.commit(0)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v, %v; want mode 0640", info, err)
	}
	if !strings.HasPrefix(done.Kept, real+".before-") {
		t.Errorf("what was there is kept as %s", done.Kept)
	}
	// And back.
	r.stage([]byte(content(t, done.Kept)))
	if again := r.commit(0); again.Kept == done.Kept {
		t.Error("one kept file has taken another one's place")
	}
	if content(t, link) != string(pem(ca)) {
		t.Error("the way back did not lead back")
	}
}
