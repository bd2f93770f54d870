package health

import (
	"strings"
	"testing"
)

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 500 No\r\n\r\nbody", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 0 \r\n\r\n", "HTTP/1.1 -10 \r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		status, err := readAnswer(strings.NewReader(answer))
		if err == nil {
			if status < 200 || status > 999 {
				t.Errorf("status %d without an error", status)
			}
			return
		}
		if r := failed(t.Context(), err); r.OK || r.Code == "" || r.Reason == "" || len(r.Reason) > reasonLimit+50 {
			t.Errorf("%v became %+v", err, r)
		}
	})
}

func FuzzServing(f *testing.F) {
	for _, seed := range []string{"", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x02\x08\x01", "\x01\x00\x00\x00\x02\x08\x01",
		"\x00\x00\x00\x00\x06\x12\x02hi\x08\x02", "\x00\x00\x00\x00\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x00\x00\x00\x00\x02\x0b\x0c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		serving, err := readServing([]byte(content))
		if err != nil {
			if len(err.Error()) > reasonLimit {
				t.Errorf("a long reason: %v", err)
			}
			return
		}
		// A field that is not known changes nothing, the one that is counts once more.
		more := []byte(content + "\x12\x02hi")
		more[4] += 4
		if more[4] >= 4 {
			if again, err := readServing(more); err != nil || again != serving {
				t.Errorf("%q says %d; with another field %d, %v", content, serving, again, err)
			}
		}
		more = append(more[:len(content)], "\x08\x02\x12\x00"...)
		if more[4] >= 4 {
			if again, err := readServing(more); err != nil || again != 2 {
				t.Errorf("%q with NOT_SERVING behind it says %d, %v", content, again, err)
			}
		}
	})
}
