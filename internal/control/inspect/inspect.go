package inspect

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"crypto/x509"
)

// Options say by which measure.
type Options struct {
	Now  time.Time     // zero: time.Now()
	Soon time.Duration // a certificate or list that ends within it is warned of; 0: 30 days
}

// mostBundle bounds what is read into memory: a file that is no revocation list.
const mostBundle = 64 << 20

// Files reads bundles and revocation lists, PEM or DER, and says what is wrong
// with each and with all of them together, as one trust store. Lists are read
// through a window, however large they are. A file that cannot be read is a fault.
func Files(names []string, o Options) *Report {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Soon == 0 {
		o.Soon = 30 * 24 * time.Hour
	}
	in := &inspection{Report: &Report{Files: []File{}, Findings: []Finding{}}, o: o}
	for _, name := range names {
		f := File{Name: name}
		if err := in.file(&f); err != nil {
			in.add(Finding{File: name, Severity: Fault, What: err.Error()})
		}
		in.Files = append(in.Files, f)
	}
	in.compareCertificates()
	in.compareLists()
	in.quotas()
	in.sort()
	return in.Report
}

type inspection struct {
	*Report
	o Options
}

func (in *inspection) file(f *File) error {
	r, err := os.Open(f.Name)
	if err != nil {
		if path, ok := errors.AsType[*os.PathError](err); ok {
			return path.Err // the name is said already
		}
		return err
	}
	defer r.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err == nil && first[0] == 0x30 {
		return in.binary(f, r)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	labels, err := readLabels(r)
	if err != nil {
		return err
	}
	secret := map[int]bool{}
	lists, others := 0, 0
	for _, l := range labels {
		switch {
		case strings.HasSuffix(l.text, "PRIVATE KEY"):
			secret[l.line] = true
			in.add(Finding{File: f.Name, Line: l.line, Severity: Alarm, What: fmt.Sprintf("a PRIVATE KEY is in the file (%q)", l.text),
				Want: "certificates or revocation lists alone", Hint: "take it out, and treat it as disclosed if this file went anywhere: issue what it belongs to again"})
		case l.text == "X509 CRL":
			lists++
		default:
			others++
		}
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if lists > 0 && others == 0 {
		return in.list(f, r, secret)
	}
	return in.bundle(f, r, secret)
}

// binary reads a file in DER, of which the first byte was read.
func (in *inspection) binary(f *File, r io.ReadSeeker) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	head, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return err
	}
	if _, err := x509.ParseCertificate(head); err == nil {
		if err := in.bundle(f, bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: head})), nil); err != nil {
			return err
		}
		for i := range f.Certificates {
			f.Certificates[i].Line = 0
		}
		for i := range in.Findings {
			if in.Findings[i].File == f.Name {
				in.Findings[i].Line = 0
			}
		}
		in.add(Finding{File: f.Name, Severity: Fault, What: "the certificate is in DER", Want: "PEM in ca_bundle", Hint: "convert it: openssl x509 -inform DER -in FILE -out FILE.pem"})
		return nil
	}
	if isPrivateKey(head) {
		in.add(Finding{File: f.Name, Severity: Alarm, What: "the file is a PRIVATE KEY", Want: "certificates or revocation lists", Hint: "treat it as disclosed if this file went anywhere"})
		return nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return in.list(f, r, nil)
}

func isPrivateKey(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, sec1 := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || sec1 == nil
}

// A pemLabel is what a block says that it is.
type pemLabel struct {
	line int
	text string
}

// readLabels reads a file to its end, a line at a time. A line of any length
// takes no more memory than a short one.
func readLabels(r io.Reader) (labels []pemLabel, err error) {
	lines := bufio.NewReaderSize(r, 4096)
	for number := 1; ; number++ {
		line, more, err := lines.ReadLine()
		if err == io.EOF {
			return labels, nil
		}
		if err != nil {
			return nil, err
		}
		text, ok := strings.CutPrefix(string(bytes.TrimRight(line, " \t\r")), "-----BEGIN ")
		if text, dashes := strings.CutSuffix(text, "-----"); ok && dashes && !more {
			labels = append(labels, pemLabel{number, text})
		}
		for more {
			if _, more, err = lines.ReadLine(); err != nil {
				return labels, nil
			}
		}
	}
}
