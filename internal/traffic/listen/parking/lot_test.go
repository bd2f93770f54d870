package parking_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/traffic/listen/parking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLot(t *testing.T) *parking.Lot {
	t.Helper()
	l, err := parking.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair returns both ends of a connection on loopback.
func pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return in.(*net.TCPConn), out.(*net.TCPConn)
}

func await(t *testing.T, woken <-chan parking.Reason, want parking.Reason) {
	t.Helper()
	select {
	case got := <-woken:
		if got != want {
			t.Fatalf("woken for reason %d, want %d", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
}

func park(t *testing.T, l *parking.Lot, c *net.TCPConn, d time.Duration) (*parking.Spot, <-chan parking.Reason) {
	t.Helper()
	woken := make(chan parking.Reason, 2)
	s, err := l.Park(c, time.Now().Add(d), func(r parking.Reason) { woken <- r })
	if err != nil {
		t.Fatal(err)
	}
	return s, woken
}

func TestAByteWakes(t *testing.T) {
	l := newLot(t)
	near, far := pair(t)
	_, woken := park(t, l, near, time.Hour)
	far.Write([]byte("x"))
	await(t, woken, parking.Readable)
	var b [4]byte
	if n, err := near.Read(b[:]); err != nil || string(b[:n]) != "x" {
		t.Errorf("read %q, %v after the wake: the byte must still be there", b[:n], err)
	}
}

func TestAByteThatIsThereAlreadyWakes(t *testing.T) {
	l := newLot(t)
	near, far := pair(t)
	far.Write([]byte("x"))
	_, woken := park(t, l, near, time.Hour)
	await(t, woken, parking.Readable)
}

func TestAnEndWakes(t *testing.T) {
	l := newLot(t)
	near, far := pair(t)
	_, woken := park(t, l, near, time.Hour)
	far.CloseWrite()
	await(t, woken, parking.Readable)
}

func TestTheDeadlineWakes(t *testing.T) {
	l := newLot(t)
	later, _ := pair(t)
	sooner, _ := pair(t)
	_, last := park(t, l, later, time.Hour)
	_, first := park(t, l, sooner, 20*time.Millisecond)
	await(t, first, parking.Expired)
	select {
	case r := <-last:
		t.Errorf("the other one was woken too, for reason %d", r)
	default:
	}
	if l.Len() != 1 {
		t.Errorf("%d are parked, want 1", l.Len())
	}
}

func TestACallWakesOnce(t *testing.T) {
	l := newLot(t)
	near, far := pair(t)
	s, woken := park(t, l, near, time.Hour)
	l.Call(s)
	await(t, woken, parking.Called)
	l.Call(s)
	far.Write([]byte("x"))
	l.Close() // waits for every wake function
	select {
	case r := <-woken:
		t.Errorf("woken again, for reason %d", r)
	default:
	}
}

func TestAConnectionCanParkAgain(t *testing.T) {
	l := newLot(t)
	near, far := pair(t)
	for range 3 {
		_, woken := park(t, l, near, time.Hour)
		far.Write([]byte("x"))
		await(t, woken, parking.Readable)
		var b [1]byte
		if _, err := near.Read(b[:]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseWakesAllAndTakesNoMore(t *testing.T) {
	l := newLot(t)
	var woken []<-chan parking.Reason
	for range 10 {
		near, _ := pair(t)
		_, w := park(t, l, near, time.Hour)
		woken = append(woken, w)
	}
	l.Close()
	for _, w := range woken {
		await(t, w, parking.Called)
	}
	near, _ := pair(t)
	if _, err := l.Park(near, time.Now().Add(time.Hour), func(parking.Reason) {}); err != parking.ErrClosed {
		t.Errorf("Park on a closed lot: %v, want ErrClosed", err)
	}
}

// Parking, traffic, calls and deadlines at once: each stay ends exactly once.
func TestEachStayEndsOnce(t *testing.T) {
	l := newLot(t)
	var all sync.WaitGroup
	for i := range 20 {
		near, far := pair(t)
		all.Go(func() {
			for n := range 50 {
				woken := make(chan parking.Reason, 2)
				s, err := l.Park(near, time.Now().Add(time.Duration(n%3)*time.Millisecond), func(r parking.Reason) { woken <- r })
				if err != nil {
					t.Error(err)
					return
				}
				go far.Write([]byte("x"))
				if (i+n)%4 == 0 {
					l.Call(s)
				}
				<-woken
				var b [1]byte
				if _, err := near.Read(b[:]); err != nil { // the byte of this round, whoever woke us
					t.Error(err)
					return
				}
				if len(woken) > 0 {
					t.Error("woken twice")
				}
			}
		})
	}
	all.Wait()
	if n := l.Len(); n != 0 {
		t.Errorf("%d are still parked", n)
	}
}
