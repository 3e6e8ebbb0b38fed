package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// childProcess is this program once more, doing something else.
type childProcess struct {
	cmd       *exec.Cmd
	task      []byte         // what it is told on its standard input; nil: nothing
	in        io.WriteCloser // ends when the child must stop; nil without a task
	complaint lastBytes
	exited    chan struct{}
}

func (b *benchRun) child(args ...string) *childProcess {
	p := &childProcess{cmd: exec.Command(b.program, args...), exited: make(chan struct{})}
	p.cmd.Env = withoutFlags(os.Environ(), flagNames(b.cmd.Root()))
	return p
}

// withoutFlags drops the variables that would set a flag of the child.
func withoutFlags(environment []string, flags map[string]bool) []string {
	return slices.DeleteFunc(environment, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(name, envPrefix)
		return ours && flags[strings.ToLower(strings.ReplaceAll(name, "_", "-"))]
	})
}

// patience with a child that starts or stops.
const patience = 60 * time.Second

// start starts a child, to be stopped with the run, and waits until its first line says where it serves.
func (b *benchRun) start(p *childProcess, address *firstLine) (string, error) {
	var err error
	if p.task != nil {
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return "", err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	b.opened = append(b.opened, p.stop)
	go func() {
		_ = p.cmd.Wait() // one that fails has said why
		close(p.exited)
	}()
	if p.task != nil {
		_, _ = p.in.Write(p.task) // where it fails, the child has ended
	}
	select {
	case found := <-address.found:
		return found, nil
	case <-p.exited:
		return "", errors.New(p.complaint.String())
	case <-b.cmd.Context().Done():
		return "", b.cmd.Context().Err()
	case <-time.After(patience):
		return "", fmt.Errorf("nothing came within %v: %s", patience, p.complaint.String())
	}
}

func (p *childProcess) stop() error {
	if p.in != nil {
		_ = p.in.Close()
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s did not stop within %v and was killed", p.cmd.Args[1], patience)
	}
}

// firstLine gives the first line of what is written to it that says what is wanted.
type firstLine struct {
	says  func(line []byte) (string, bool)
	found chan string
	rest  []byte
	done  bool
}

func (w *firstLine) Write(data []byte) (int, error) {
	for w.rest = append(w.rest, data...); !w.done; {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(data), nil
		}
		w.rest = rest
		if found, ok := w.says(line); ok {
			w.found <- found
			w.done = true
		}
	}
	w.rest = nil
	return len(data), nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	mu   sync.Mutex
	kept []byte
}

func (w *lastBytes) Write(data []byte) (int, error) {
	const most = 4 << 10
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, data...)
	w.kept = w.kept[max(len(w.kept)-most, 0):]
	return len(data), nil
}

func (w *lastBytes) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.kept))
}
