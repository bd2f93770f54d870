package queue

import (
	"bytes"
	"testing"
)

func TestAQueueGivesBackWhatItWasGiven(t *testing.T) {
	var q Queue
	var want, got []byte
	for i := range 200 {
		p := bytes.Repeat([]byte{byte(i)}, i*i%5000)
		q.Push(p)
		want = append(want, p...)
		b := make([]byte, i*31%3000)
		got = append(got, b[:q.Pop(b)]...)
	}
	if q.Len() != len(want)-len(got) {
		t.Errorf("%d octets are left, expected %d", q.Len(), len(want)-len(got))
	}
	b := make([]byte, q.Len())
	got = append(got, b[:q.Pop(b)]...)
	if !bytes.Equal(got, want) || q.first != nil || q.last != nil {
		t.Error("not the same came back")
	}
	q.Push(make([]byte, 40000))
	if n := q.Drop(); n != 40000 || q.Len() != 0 || q.first != nil {
		t.Errorf("%d octets were dropped", n)
	}
}
