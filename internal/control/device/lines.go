package device

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// maxLine bounds a line of an import, in bytes.
const maxLine = 64 << 10

// lines reads a file line by line, within bounded memory, whatever is in it.
type lines struct {
	r      *bufio.Reader
	number int // of the line that was read last
	back   []read
	err    error
}

type read struct {
	line string
	err  error
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, maxLine)} }

var errLong = fmt.Errorf("it has more than %d bytes", maxLine)

// next returns the next line without its end; io.EOF behind the last. errLong is
// about the line alone: there are more.
func (l *lines) next() (string, error) {
	if len(l.back) > 0 {
		was := l.back[0]
		l.back = l.back[1:]
		l.number++
		return was.line, was.err
	}
	if l.err != nil {
		return "", l.err
	}
	b, err := l.r.ReadSlice('\n')
	l.number++
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
		l.err = err
		return "", errLong
	}
	if err != nil {
		l.err = err
		if len(b) == 0 || !errors.Is(err, io.EOF) {
			l.number--
			return "", err
		}
	}
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	if l.number == 1 {
		if len(b) > 2 && string(b[:3]) == "\ufeff" {
			b = b[3:]
		}
		if len(b) > 1 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) {
			l.err = errors.New("the file is UTF-16: save it as UTF-8")
			return "", l.err
		}
	}
	return string(b), nil
}

// unread gives lines back that were read for nothing.
func (l *lines) unread(all []read) {
	l.back = append(slices.Clone(all), l.back...)
	l.number -= len(all)
}

var errNotUTF8 = errors.New("it is not UTF-8: save the file as UTF-8")

func checkText(line string) error {
	if !utf8.ValidString(line) {
		return errNotUTF8
	}
	return nil
}
