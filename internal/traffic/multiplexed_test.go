package traffic_test

import (
	"bytes"
	"crypto/tls"
	nethttp "net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// RFC 9113 section 6.8: a client learns that its connection is to end before the
// answer does, and what it has sent by then is served.
func TestAnOldConnectionServesWhatTheClientSentBeforeItKnew(t *testing.T) {
	release := make(chan struct{})
	backend := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { <-release })
	r := startBefore(t, backend, with(fleetConfig, "protocol: https", "protocol: https\n    timeouts: {keep_alive: 1ms}"))
	c := r.dial(r.root.Client("device-1"), func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	time.Sleep(2 * time.Millisecond) // it is age that counts
	framer := http2.NewFramer(c.conn, c.conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.conn.SetDeadline(time.Now().Add(patience))
	c.conn.Write([]byte(http2.ClientPreface))
	framer.WriteSettings()
	request := func(stream uint32) {
		var block bytes.Buffer
		fields := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}} {
			fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	request(1)
	told, answered := false, 0
	for answered < 2 {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%d requests were answered, then %v", answered, err)
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			if told {
				break // the real one
			}
			told = true
			if f.LastStreamID != 1<<31-1 {
				t.Errorf("the connection takes streams up to %d", f.LastStreamID)
			}
			request(3)
		case *http2.PingFrame:
			if !f.IsAck() {
				framer.WritePing(true, f.Data)
				close(release)
			}
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "200" {
				t.Errorf("stream %d was answered %s", f.StreamID, status)
			}
			answered++
		}
	}
}
