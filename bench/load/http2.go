package load

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"
)

// An http2Load job keeps a number of streams in flight on connections that stay
// open: when one is answered, the next is opened.
type http2Load struct {
	spec  Spec
	ends  []func() error
	conns []*multiplexed
}

func beginHTTP2(s Spec) (job, error) {
	if s.Streams < 1 || s.Upload > 0 {
		return nil, fmt.Errorf("%d streams in flight with uploads of %d bytes: want at least one stream and no upload", s.Streams, s.Upload)
	}
	all, err := dialers(s, s.Connections)
	if err != nil {
		return nil, err
	}
	j := &http2Load{spec: s}
	for _, d := range all {
		d.config = d.config.Clone()
		d.config.NextProtos = []string{http2.NextProtoTLS}
		conn, err := d.dial()
		if err != nil {
			return nil, errors.Join(err, j.finish())
		}
		j.ends = append(j.ends, conn.Close)
		m, err := multiplex(conn, s)
		if err != nil {
			return nil, errors.Join(err, j.finish())
		}
		j.conns = append(j.conns, m)
	}
	if err := j.during(s.Warmup).Err(); err != nil {
		return nil, errors.Join(err, j.finish())
	}
	return j, nil
}

func (j *http2Load) do() Result { return j.during(j.spec.Duration) }

// during opens streams until d has passed, and waits for all answers.
func (j *http2Load) during(d time.Duration) Result {
	start := time.Now()
	end := start.Add(d)
	return together(len(j.conns), start, func(i int, t *tally) { t.err = j.conns[i].until(end, t) })
}

func (j *http2Load) finish() error {
	for _, end := range j.ends {
		end() // what the server says is of no interest any more
	}
	return nil
}
