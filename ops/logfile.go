package ops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// complainEvery is how often a log that cannot be written says so.
const complainEvery = time.Minute

// LogFile is a file of lines that is put aside when it is full, under its name with the time in it, and begun anew. Writing
// to it never fails: what the file does not take is counted, and complained of elsewhere. It is safe for use by many.
type LogFile struct {
	file     io.WriteCloser
	name     string
	complain func(error)
	lost     atomic.Uint64

	mu         sync.Mutex
	torn       bool // the last line was cut short
	failing    bool
	complained time.Time
}

// OpenLogFile opens a file for appending, with mode 0600 if it is new. Beyond maxMiB it is put aside, and the latest keep of
// those are kept. complain learns why it cannot be written, once a minute at most.
func OpenLogFile(name string, maxMiB, keep int, complain func(error)) (*LogFile, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	probe, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	return &LogFile{file: &lumberjack.Logger{Filename: name, MaxSize: maxMiB, MaxBackups: keep}, name: name, complain: complain}, nil
}

// NewLogStream is a stream in place of a file.
func NewLogStream(name string, to io.Writer, complain func(error)) *LogFile {
	return &LogFile{file: stream{to}, name: name, complain: complain}
}

type stream struct{ io.Writer }

func (stream) Close() error { return nil }

// Write takes whole lines.
func (f *LogFile) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.torn {
		if _, err := f.file.Write([]byte("\n")); err != nil {
			f.failed(lines, err)
			return len(lines), nil
		}
		f.torn = false
	}
	n, err := f.file.Write(lines)
	if err == nil {
		f.failing = false
		return n, nil
	}
	written := lines[:max(0, min(n, len(lines)))]
	f.torn = len(written) > 0 && written[len(written)-1] != '\n'
	f.failed(lines[bytes.LastIndexByte(written, '\n')+1:], err)
	return len(lines), nil
}

func (f *LogFile) failed(lost []byte, err error) {
	f.lost.Add(uint64(bytes.Count(lost, []byte("\n"))))
	now := time.Now()
	if f.failing && now.Sub(f.complained) < complainEvery {
		return
	}
	f.failing, f.complained = true, now
	if cause := new(os.PathError); errors.As(err, &cause) {
		err = cause.Err // the name is said already
	}
	f.complain(fmt.Errorf("%s cannot be written; lines are lost: %w", f.name, err))
}

// Lost counts lines that the file did not take.
func (f *LogFile) Lost() uint64 { return f.lost.Load() }

// Close closes the file.
func (f *LogFile) Close() error { return f.file.Close() }

// LogLines shows how many lines of the logs were lost. decisions is the decision log and its file; nil for none.
func (m *Metrics) LogLines(service *LogFile, decisions *DecisionLog, decisionFile *LogFile) {
	lost := func(log, cause string, count func() uint64) {
		m.Count("belpoort_log_lines_lost_total", "Lines that a log did not keep, by log and cause.",
			func() float64 { return float64(count()) }, "log", log, "cause", cause)
	}
	lost("service", "failed", service.Lost)
	if decisions != nil {
		lost("decisions", "failed", decisionFile.Lost)
		lost("decisions", "behind", decisions.Dropped)
	}
}
