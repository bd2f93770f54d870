package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// A message is a line that the process writes: "ready", the Result, "finished".
type message struct {
	Ready    bool    `json:"ready,omitempty"`
	Result   *Result `json:"result,omitempty"`
	Finished bool    `json:"finished,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Main is the process: it reads the Spec and then a "go" from in, one JSON value
// each, and ends with in.
func Main(in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	fail := func(err error) error { return errors.Join(err, say.Encode(message{Error: err.Error()})) }
	read := json.NewDecoder(in)
	var s Spec
	if err := read.Decode(&s); err != nil {
		return fail(fmt.Errorf("reading the work to be done: %w", err))
	}
	j, err := begin(s)
	if err != nil {
		return fail(err)
	}
	if err := say.Encode(message{Ready: true}); err != nil {
		return err
	}
	var word string
	if err := read.Decode(&word); err != nil {
		return errors.Join(err, j.finish())
	}
	result := j.do()
	if err := say.Encode(message{Result: &result}); err != nil {
		return err
	}
	if err := read.Decode(&word); !errors.Is(err, io.EOF) {
		return fail(fmt.Errorf("%q, %v after the work: want the end of the input", word, err))
	}
	if err := j.finish(); err != nil {
		return fail(err)
	}
	return say.Encode(message{Finished: true})
}

// A Process is Main, running elsewhere.
type Process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	say   *json.Encoder
	lines *json.Decoder
}

// Start runs cmd, which is to call Main, and returns when it is ready to work.
func Start(cmd *exec.Cmd, s Spec) (*Process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, in: in, say: json.NewEncoder(in), lines: json.NewDecoder(bufio.NewReader(out))}
	if err := p.say.Encode(s); err != nil {
		return nil, errors.Join(err, p.end())
	}
	if m, err := p.next(); err != nil {
		return nil, errors.Join(err, p.end())
	} else if !m.Ready {
		return nil, errors.Join(fmt.Errorf("the load said %+v before it was ready", m), p.end())
	}
	return p, nil
}

// Work has it do the work that counts.
func (p *Process) Work() (Result, error) {
	if err := p.say.Encode("go"); err != nil {
		return Result{}, err
	}
	m, err := p.next()
	if err == nil && m.Result == nil {
		err = fmt.Errorf("the load said %+v in place of its result", m)
	}
	if err != nil {
		return Result{}, err
	}
	return *m.Result, nil
}

// Finish ends the process after Work. It returns an error when connections that
// should have stayed open had not.
func (p *Process) Finish() error {
	err := p.in.Close()
	if err == nil {
		_, err = p.next()
	}
	return errors.Join(err, p.cmd.Wait())
}

// Abort ends the process at any time.
func (p *Process) Abort() { p.end() }

func (p *Process) end() error {
	p.in.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
	return nil
}

// next reads a message; one that reports an error is an error.
func (p *Process) next() (message, error) {
	var m message
	if err := p.lines.Decode(&m); err != nil {
		return m, fmt.Errorf("the load ended: %w", err)
	}
	if m.Error != "" {
		return m, errors.New(m.Error)
	}
	return m, nil
}
