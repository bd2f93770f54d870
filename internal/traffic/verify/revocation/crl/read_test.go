package crl_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"countersign.dev/internal/wire/pemscan"
)

// However a list comes in, in single bytes or with lines of any length, it is
// the same list.
func TestReadDoesNotDependOnHowBytesCome(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	var opts []testpki.CRLOption
	for i := range int64(5000) { // several windows
		opts = append(opts, testpki.RevokeSerial(new(big.Int).Mul(big.NewInt(i+1), big.NewInt(0x1234567890abcd)), int(i)%7))
	}
	der := root.CRL(opts...)
	text := testpki.CRLPEM(der)
	flat := bytes.ReplaceAll(text[len("-----BEGIN X509 CRL-----\n"):len(text)-len("-----END X509 CRL-----\n")], []byte("\n"), nil)
	lines := func(width int) []byte {
		b := bytes.NewBufferString("-----BEGIN X509 CRL-----\n")
		for rest := flat; len(rest) > 0; rest = rest[min(width, len(rest)):] {
			fmt.Fprintf(b, "%s\n", rest[:min(width, len(rest))])
		}
		b.WriteString("-----END X509 CRL-----\n")
		return b.Bytes()
	}
	for name, data := range map[string][]byte{
		"DER": der, "PEM": text, "CRLF": bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"one line": lines(len(flat)), "short lines": lines(3), "odd lines": lines(77), "single letters": lines(1),
	} {
		for how, r := range map[string]io.Reader{
			"at once": bytes.NewReader(data), "in bytes": iotest.OneByteReader(bytes.NewReader(data)), "with its end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			lists, err := crl.Read("x.crl", r, crl.Limits{})
			if err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
				continue
			}
			l := lists[0]
			if _, last := l.Lookup(new(big.Int).Mul(big.NewInt(5000), big.NewInt(0x1234567890abcd))); l.Len() != 5000 || !last || !l.IssuedBy(root.X509) {
				t.Errorf("%s, %s: %d entries, the last is there: %v", name, how, l.Len(), last)
			}
		}
	}
}

// A list that is cut off anywhere is refused, and so is one with a byte changed
// or else its signature does not hold.
func TestNoPartOfAListIsTaken(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	der := root.CRL(testpki.RevokeSerial(big.NewInt(0x1234), 1))
	for n := range der {
		if _, err := crl.Parse("x.crl", der[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken for a list", n, len(der))
		}
	}
	for n := range der {
		changed := bytes.Clone(der)
		changed[n] ^= 0x10
		if lists, err := crl.Parse("x.crl", changed); err == nil && lists[0].IssuedBy(root.X509) {
			t.Fatalf("a list that was changed at %d is taken for that of its issuer", n)
		}
	}
}

// What does not fit into the window is refused, with its size.
func TestElementsAreBounded(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	long := make([]byte, 70000)
	for name, tt := range map[string]struct {
		der  []byte
		want string
	}{
		"extension": {root.CRL(testpki.CRLExtension(false, long, 1, 2, 3)), "its extensions takes 7"},
		"entry": {root.CRL(func(l *x509.RevocationList) {
			testpki.RevokeSerial(big.NewInt(7), 0)(l)
			e := &l.RevokedCertificateEntries[0]
			testpki.CRLExtension(false, long, 1, 2, 3)(l)
			e.ExtraExtensions, l.ExtraExtensions = l.ExtraExtensions, nil
		}), "entry 1: an entry takes 7"},
		"many extensions": {root.CRL(func(l *x509.RevocationList) {
			for i := range 100 {
				testpki.CRLExtension(false, nil, 1, 2, 3, i)(l)
			}
		}), "more than 64 extensions"},
	} {
		if _, err := crl.Parse("x.crl", tt.der); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want it to say %q", name, err, tt.want)
		}
	}
}

// A length of gigabytes in a few bytes costs nothing.
func TestAnEnormousLengthIsOnlyWords(t *testing.T) {
	for _, data := range []string{
		"\x30\x84\xff\xff\xff\xff\x30\x84\xff\xff\xff\xf0", "\x30\x85\x0f\xff\xff\xff\xff\x30\x85\x0f\xff\xff\xff\xf0", "\x30\x80", "\x30\x86\x01\x01\x01\x01\x01\x01", "\x30\x81\x7f", "\x30\x82\x00\xff",
	} {
		if n := testing.AllocsPerRun(1, func() {
			if _, err := crl.Parse("x.crl", []byte(data)); err == nil {
				t.Errorf("%x is a list", data)
			}
		}); n > 50 {
			t.Errorf("%x: %v allocations", data, n)
		}
	}
}

func TestEntriesAreBounded(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	two := root.CRL(testpki.Revoke(root.Client("1"), root.Client("2")))
	for name, tt := range map[string]struct {
		data []byte
		most int
		ok   bool
	}{
		"as many as may be":           {two, 2, true},
		"one more":                    {two, 1, false},
		"PEM, one more":               {testpki.CRLPEM(two), 1, false},
		"two lists, as many":          {testpki.CRLPEM(two, root.CRL(), root.CRL(testpki.CRLNumber(2), testpki.Revoke(root.Client("3")))), 3, true},
		"two lists, one more":         {testpki.CRLPEM(two, root.CRL(testpki.Revoke(root.Client("3")))), 2, false},
		"as many, and an empty list":  {testpki.CRLPEM(two, root.CRL()), 2, true},
		"a bound that nobody reaches": {two, 1 << 30, true},
	} {
		_, err := crl.Read("x.crl", bytes.NewReader(tt.data), crl.Limits{Entries: tt.most})
		many, is := errors.AsType[*crl.EntriesError](err)
		if tt.ok && err != nil || !tt.ok && (!is || many.Most != tt.most) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is nothing but faults is not told line by line.
func TestFaultsAreBounded(t *testing.T) {
	_, err := crl.Parse("x.crl", bytes.Repeat([]byte("x\n\n"), 100000))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 21 || !strings.Contains(lines[20], "there is more at fault") {
		t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}

// Ed25519 signs the list itself, which then has to be kept: a long one is refused.
func TestLongEd25519ListsAreRefused(t *testing.T) {
	root := testpki.NewRoot(t, "Root", testpki.Key(testpki.Ed25519))
	der := root.Resign(root.CRL(testpki.RevokeSerial(big.NewInt(7), 0)), func(tbs []byte) []byte {
		entry := []byte("\x30\x14\x02\x01\x07\x17\x0d260101000000Z")
		at := bytes.Index(tbs, []byte("\x02\x01\x07\x17")) - 2 // the only entry
		seq := func(content []byte) []byte {
			n := len(content)
			return append([]byte{0x30, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, content...)
		}
		entry[1] = byte(len(entry) - 2)
		revoked := seq(bytes.Repeat(entry, 1<<20))
		head, tail := tbs[4:at-2], tbs[at+2+int(tbs[at+1]):]
		if tbs[1] == 0x81 {
			head = tbs[3 : at-2]
		}
		return seq(append(append(bytes.Clone(head), revoked...), tail...))
	})
	if _, err := crl.Parse("x.crl", der); err == nil || !strings.Contains(err.Error(), "signed with Ed25519, for which all of it would have to be kept") {
		t.Error(err)
	}
}

// The strict reading of PEM is that of package pemscan, with which bundles are read.
func FuzzPEM(f *testing.F) {
	root := testpki.NewRoot(f, "Root")
	text := testpki.CRLPEM(root.CRL(), root.CRL())
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("\n"), []byte(" \r\n")))
	f.Add([]byte("# c\n-----BEGIN X509 CRL-----\nAAEC\n-----END X509 CRL-----\nx\n\n"))
	f.Add([]byte("-----BEGIN X509 CRL-----\nAAE=\nAAEC\n-----BEGIN X509 CRL-----\nA: b\n-----END X-----"))
	f.Add([]byte("-----BEGIN X-----\nA\nAE\nC\n-----END X-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || data[0] == 0x30 || len(data) > 60000 {
			return // DER; and lines that are longer than the buffer are read in parts
		}
		faults := 0
		var blocks [][]byte
		for _, e := range pemscan.Scan(data) {
			switch {
			case e.Kind == pemscan.Block && e.Type == "X509 CRL":
				blocks = append(blocks, e.Bytes)
			case e.Kind != pemscan.Comment && e.Kind != pemscan.Blank:
				faults++
			}
		}
		lists, err := crl.Parse("x.crl", data)
		var want []*crl.List
		for _, b := range blocks {
			if one, err := crl.Parse("x.crl", b); err == nil && b[0] == 0x30 {
				want = append(want, one...)
			} else {
				faults++
			}
		}
		if good := faults == 0 && len(want) > 0; good != (err == nil) {
			t.Fatalf("%d faults in what pemscan sees, %d lists; here: %v", faults, len(want), err)
		}
		for i := range lists {
			if lists[i].Digest() != want[i].Digest() {
				t.Errorf("list %d is another", i)
			}
		}
	})
}

// Looking up allocates nothing, whether the serial number is listed or not.
func TestLookupAllocations(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	var opts []testpki.CRLOption
	for i := range int64(1000) {
		opts = append(opts, testpki.RevokeSerial(new(big.Int).Lsh(big.NewInt(i), 100), 1))
	}
	lists, err := crl.Parse("x.crl", root.CRL(opts...))
	if err != nil {
		t.Fatal(err)
	}
	listed, other := new(big.Int).Lsh(big.NewInt(500), 100), new(big.Int).Lsh(big.NewInt(5000), 100)
	if n := testing.AllocsPerRun(100, func() {
		_, a := lists[0].Lookup(listed)
		_, b := lists[0].Lookup(other)
		if !a || b {
			t.Fatal(a, b)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Reading a list allocates for what is kept, not for each entry.
func TestReadAllocations(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	var opts []testpki.CRLOption
	for i := range int64(10000) {
		opts = append(opts, testpki.RevokeSerial(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 100), big.NewInt(i)), 1))
	}
	der := root.CRL(opts...)
	if n := testing.AllocsPerRun(5, func() {
		if _, err := crl.Parse("x.crl", der); err != nil {
			t.Fatal(err)
		}
	}); n > 200 {
		t.Errorf("%v allocations for 10,000 entries", n)
	}
}

// Reading a long list makes pauses, both where it comes in and where it is put
// into order.
func TestALongListIsReadWithPauses(t *testing.T) {
	der := testpki.NewRoot(t, "Root").CRL(func(l *x509.RevocationList) {
		for i := range int64(8000) {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(1<<40 + i), RevocationTime: l.ThisUpdate})
		}
	})
	var coming, ordered int
	in := bytes.NewReader(der)
	lists, err := crl.Read("x.crl", in, crl.Limits{Pause: func() {
		if in.Len() > 0 {
			coming++
		} else {
			ordered++
		}
	}})
	if err != nil || lists[0].Len() != 8000 {
		t.Fatal(lists, err)
	}
	if least := len(der)/(64<<10) - 1; coming < least || ordered < 8 {
		t.Errorf("%d pauses while %d bytes came, want %d or more; %d while they were ordered, want 8 or more", coming, len(der), least, ordered)
	}
}
