package resolve

import (
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func FuzzShortest(f *testing.F) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("a.example.com."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("a.example.com."), Class: dnsmessage.ClassINET, TTL: 9},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}}},
	}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	if life, ok := shortest(packed); !ok || life != 9*time.Second {
		f.Fatalf("%v, %v", life, ok)
	}
	f.Add(packed)
	f.Add(packed[:20])
	f.Fuzz(func(t *testing.T, message []byte) {
		if life, _ := shortest(message); life < 0 || life > latest {
			t.Errorf("%v", life)
		}
	})
}
