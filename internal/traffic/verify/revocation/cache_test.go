package revocation_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A file is one that counts what is read of it.
type file struct {
	*bytes.Reader
	name string
	read int
}

func newFile(name string, data []byte) *file { return &file{Reader: bytes.NewReader(data), name: name} }

func (f *file) Name() string { return f.name }

func (f *file) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.read += n
	return n, err
}

// A file that several trust stores name is read once, and what did not change is
// not parsed for the next configuration: the lists are the same.
func TestAFileIsParsedOnce(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	data := testpki.CRLPEM(root.CRL(testpki.CRLNumber(1)), root.CRL(testpki.CRLNumber(2)))
	load := func(c *revocation.Cache, f *file, before *revocation.Cache) []*crl.List {
		t.Helper()
		lists, err := c.Load(f, 1<<20, crl.Limits{}, before)
		if err != nil || len(lists) != 2 {
			t.Fatal(lists, err)
		}
		return lists
	}
	var first, second, third revocation.Cache
	lists := load(&first, newFile("a.crl", data), nil)
	again := newFile("a.crl", data)
	if other := load(&first, again, nil); other[0] != lists[0] || again.read != 0 {
		t.Errorf("another trust store's list is parsed anew, or %d bytes were read", again.read)
	}
	if other := load(&second, newFile("a.crl", data), &first); other[0] != lists[0] || other[1] != lists[1] {
		t.Error("a file that did not change is parsed anew")
	}
	// The same content under another name: the messages say so.
	moved := load(&third, newFile("b.crl", data), &second)
	if moved[0].Name != "b.crl" || moved[0].Digest() != lists[0].Digest() || lists[0].Name != "a.crl" {
		t.Errorf("%v, %v", moved[0], lists[0])
	}
	changed := testpki.CRLPEM(root.CRL(testpki.CRLNumber(1)), root.CRL(testpki.CRLNumber(3)))
	if other := load(new(revocation.Cache), newFile("a.crl", changed), &second); other[1].Number.Int64() != 3 {
		t.Errorf("a file of the same name is taken for what it was: %v", other[1])
	}
}

func TestLoadIsBounded(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	data := root.CRL(testpki.Revoke(root.Client("1"), root.Client("2")))
	size := int64(len(data))
	var known revocation.Cache
	if _, err := known.Load(newFile("a.crl", data), size, crl.Limits{Entries: 2}, nil); err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]*revocation.Cache{"unknown": nil, "known before": &known} {
		t.Run(name, func(t *testing.T) {
			_, err := new(revocation.Cache).Load(newFile("a.crl", data), size-1, crl.Limits{}, before)
			if large, ok := errors.AsType[*revocation.SizeError](err); !ok || large.Limit != size-1 {
				t.Errorf("too large: %v", err)
			}
			_, err = new(revocation.Cache).Load(newFile("a.crl", data), size, crl.Limits{Entries: 1}, before)
			if many, ok := errors.AsType[*crl.EntriesError](err); !ok || many.Most != 1 {
				t.Errorf("too many entries: %v", err)
			}
		})
	}
	// What is known here already is held to the limits of another trust store too.
	if _, err := known.Load(newFile("a.crl", data), size, crl.Limits{Entries: 1}, nil); err == nil {
		t.Error("a known file is not held to a limit")
	}
	// One that has no end is not read to its end.
	endless := &endlessFile{head: testpki.CRLPEM(data)}
	if _, err := new(revocation.Cache).Load(endless, 1<<20, crl.Limits{}, nil); err == nil || endless.read > 2<<20 {
		t.Errorf("%v after %d bytes", err, endless.read)
	}
}

// An endlessFile has comments after its head.
type endlessFile struct {
	head []byte
	read int
}

func (f *endlessFile) Name() string                   { return "endless.crl" }
func (f *endlessFile) Seek(int64, int) (int64, error) { return 0, nil }

func (f *endlessFile) Read(p []byte) (int, error) {
	n := copy(p, f.head)
	f.head = f.head[n:]
	if n == 0 {
		n = copy(p, bytes.Repeat([]byte("# more\n"), len(p)/7+1))
	}
	f.read += n
	return n, nil
}

var _ io.ReadSeeker = (*endlessFile)(nil)

// What cannot be read is an error, not an empty list.
func TestAReadErrorIsTold(t *testing.T) {
	data := testpki.NewRoot(t, "Root").CRL()
	for _, text := range [][]byte{data, testpki.CRLPEM(data)} {
		broken := &brokenFile{file: newFile("a.crl", text), after: len(text) / 2}
		if lists, err := new(revocation.Cache).Load(broken, 1<<20, crl.Limits{}, nil); !errors.Is(err, errBroken) || lists != nil {
			t.Errorf("%v, %v", lists, err)
		}
	}
}

var errBroken = errors.New("input/output error")

type brokenFile struct {
	*file
	after int
}

func (f *brokenFile) Read(p []byte) (int, error) {
	if f.read >= f.after {
		return 0, errBroken
	}
	return f.file.Read(p[:min(len(p), f.after-f.read)])
}
