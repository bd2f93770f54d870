package measure

import (
	"errors"
	"os"
	"time"
)

// Syncs returns how many blocks of 4 KiB a second can be appended to a file in dir,
// each on disk before the next one.
func Syncs(dir string, during time.Duration) (perSecond float64, err error) {
	f, err := os.CreateTemp(dir, "syncs-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	n := 0
	began := time.Now()
	for n == 0 || time.Since(began) < during {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
