package directory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"countersign.dev/internal/control/ca/pemfile"
)

// Look reads the certificates of the authority in dir, by the names of their
// files, without opening anything that is secret.
func Look(dir string) (map[string]*x509.Certificate, error) {
	found := map[string]*x509.Certificate{}
	for number := 0; ; number++ {
		file := RootCertFile
		if number > 0 {
			file = IssuingFile(IssuingCertFile, number)
		}
		c, err := pemfile.ReadCertificate(filepath.Join(dir, file))
		if number > 1 && errors.Is(err, fs.ErrNotExist) {
			return found, nil
		}
		if number == 0 && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s, which holds no authority (%w)", dir, err)
		}
		if err != nil {
			return nil, err
		}
		found[file] = c
	}
}
