package deadline_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"countersign.dev/internal/traffic/deadline"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a TCP connection on loopback.
func pair(t testing.TB) (a *deadline.Conn, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	return deadline.New(out), in.(*net.TCPConn)
}

func TestReadTimesOutExactlyAlthoughTheSocketFiresEarly(t *testing.T) {
	c, _ := pair(t)
	const d = 200 * time.Millisecond
	start := time.Now()
	if err := c.ArmRead(start, d); err != nil {
		t.Fatal(err)
	}
	// 90 ms later, as if an exchange had gone by: the socket's deadline stays
	// where it was, the new wait ends 90 ms after it.
	again := start.Add(90 * time.Millisecond)
	if err := c.ArmRead(again, d); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	end := time.Now()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	if end.Before(again.Add(d)) {
		t.Errorf("timed out %v early", again.Add(d).Sub(end))
	}
}

func TestReadGoesOnAfterAnEarlyDeadline(t *testing.T) {
	c, peer := pair(t)
	now := time.Now()
	// A deadline that has all but passed on a wait that has a minute left.
	if err := errors.Join(c.ArmRead(now.Add(-30*time.Second+time.Millisecond), time.Minute/2), c.ArmRead(now.Add(-30*time.Second), time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		b := make([]byte, 1)
		_, err := c.Read(b)
		if err == nil && b[0] != 'x' {
			err = errors.New("read something else")
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("Read returned %v before anything was sent", err)
	case <-time.After(50 * time.Millisecond): // time for the early deadline to fire
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestWriteGoesOnAfterAnEarlyDeadlineWithoutLosingBytes(t *testing.T) {
	c, peer := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB: more than the buffers hold
	now := time.Now()
	if err := errors.Join(c.ArmWrite(now.Add(-30*time.Second+20*time.Millisecond), time.Minute/2), c.ArmWrite(now.Add(-30*time.Second+20*time.Millisecond), time.Minute)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		n, err := c.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		done <- errors.Join(err, c.Close())
	}()
	time.Sleep(50 * time.Millisecond) // the early deadline fires while the peer reads nothing
	received, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(received, sent) {
		t.Errorf("received %d bytes, sent %d, or not the same", len(received), len(sent))
	}
}

func TestReadOfAClosedConnectionIsNotATimeout(t *testing.T) {
	c, peer := pair(t)
	if err := c.ArmRead(time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestSetDeadlineIsKnownToArm(t *testing.T) {
	c, peer := pair(t)
	if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	if err := c.ArmRead(time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("after Arm: %v", err)
	}
}

func TestArmAllocatesNothing(t *testing.T) {
	c, _ := pair(t)
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Second)
		_ = c.ArmRead(now, time.Minute)
		_ = c.ArmWrite(now, time.Minute)
		_ = c.ArmRead(now, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArm(b *testing.B) {
	c, _ := pair(b)
	b.Run("lazy", func(b *testing.B) {
		now := time.Now()
		for b.Loop() {
			now = now.Add(10 * time.Microsecond)
			_ = c.ArmRead(now, time.Minute)
		}
	})
	b.Run("every time", func(b *testing.B) {
		now := time.Now()
		for b.Loop() {
			now = now.Add(10 * time.Microsecond)
			_ = c.SetReadDeadline(now.Add(time.Minute))
		}
	})
}
