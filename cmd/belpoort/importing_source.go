package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/loader"
	"github.com/belpoort/belpoort/record"
)

// importSource is where rows come from.
type importSource interface {
	open() error
	close()
	name() string     // as the user named it, fit to print
	reported() string // as it stands in reports
	content() string  // SHA-256 in hexadecimal; "" while it is not known
	size() int64      // in bytes; 0 where nobody knows
	rejectsPath(given string) string
	statePath(given string) string // "" where an import cannot go on
	load(ctx context.Context, opts loader.Options, to loader.Recorder) (loader.Report, error)
	unchanged() error // after load
}

// fileSource is a file. It is read once for its hash before its first row is taken: so an import knows its id, and whether
// the file is still the one of which an earlier run took some rows.
type fileSource struct {
	path string
	file *os.File
	info os.FileInfo
	sum  string
	pipe *pipeSource // what has no size and no second reading
}

func (s *fileSource) open() (err error) {
	if s.file, err = os.Open(s.path); err != nil {
		return err
	}
	if s.info, err = s.file.Stat(); err != nil {
		return err
	}
	switch {
	case s.info.IsDir():
		return fmt.Errorf("%s is a folder", s.name())
	case !s.info.Mode().IsRegular():
		s.pipe = &pipeSource{shown: s.name(), in: s.file}
		return nil
	}
	if err := syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s is being imported by another process", s.name())
	}
	if s.sum, err = sumOf(s.file); err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	_, err = s.file.Seek(0, io.SeekStart)
	return err
}

func sumOf(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}

func (s *fileSource) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

func (s *fileSource) name() string     { return plainLine(s.path) }
func (s *fileSource) reported() string { return plainName(s.path) }

func (s *fileSource) content() string {
	if s.pipe != nil {
		return s.pipe.content()
	}
	return s.sum
}

func (s *fileSource) size() int64 {
	if s.pipe != nil {
		return 0
	}
	return s.info.Size()
}

func (s *fileSource) rejectsPath(given string) string {
	if given != "" || s.pipe != nil {
		return given
	}
	return strings.TrimSuffix(s.path, filepath.Ext(s.path)) + ".rejects.csv"
}

func (s *fileSource) statePath(given string) string {
	switch {
	case s.pipe != nil:
		return ""
	case given != "":
		return given
	}
	return s.path + ".import"
}

func (s *fileSource) load(ctx context.Context, opts loader.Options, to loader.Recorder) (loader.Report, error) {
	if s.pipe != nil {
		return s.pipe.load(ctx, opts, to)
	}
	return loader.Import(ctx, s.file, opts, to)
}

// unchanged makes sure that what was imported is what was hashed.
func (s *fileSource) unchanged() error {
	if s.pipe != nil {
		return nil
	}
	now, err := s.file.Stat()
	if err != nil || now.Size() == s.info.Size() && now.ModTime().Equal(s.info.ModTime()) {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if sum, err := sumOf(s.file); err != nil || sum == s.sum {
		return err
	}
	return &loader.FileError{Problem: "changed while it was read: import it again"}
}

// pipeSource is read once; what it held is known at its end.
type pipeSource struct {
	shown string
	in    io.Reader
	sum   hash.Hash
	ended bool
}

func (s *pipeSource) open() error { return nil }
func (s *pipeSource) close()      {}

func (s *pipeSource) name() string     { return s.shown }
func (s *pipeSource) reported() string { return plainName(s.shown) }

func (s *pipeSource) content() string {
	if !s.ended {
		return ""
	}
	return hex.EncodeToString(s.sum.Sum(nil))
}

func (s *pipeSource) size() int64                     { return 0 }
func (s *pipeSource) rejectsPath(given string) string { return given }
func (s *pipeSource) statePath(string) string         { return "" }
func (s *pipeSource) unchanged() error                { return nil }

func (s *pipeSource) load(ctx context.Context, opts loader.Options, to loader.Recorder) (loader.Report, error) {
	s.sum = sha256.New()
	in := io.TeeReader(s.in, s.sum)
	report, err := loader.Import(ctx, in, opts, to)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // what a packed file has after its end
	}
	s.ended = err == nil
	return report, err
}

// querySource is the rows of a query.
type querySource struct {
	query    loader.Query
	database string
	sum      hash.Hash
	ended    bool
}

func (s *querySource) open() (err error) {
	if s.query.Timeout < time.Second || s.query.Timeout > 24*time.Hour {
		return errors.New("--query-timeout: must be 1s to 24h")
	}
	s.sum = sha256.New()
	s.query.Seen = s.sum
	if s.database, err = loader.DatabaseName(s.query.Database); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	s.database = record.WithoutNumbers(plainLine(s.database))
	return nil
}

func (s *querySource) close()           {}
func (s *querySource) name() string     { return s.reported() }
func (s *querySource) reported() string { return "postgres:" + s.database }

func (s *querySource) content() string {
	if !s.ended {
		return ""
	}
	return hex.EncodeToString(s.sum.Sum(nil))
}

func (s *querySource) size() int64                     { return 0 }
func (s *querySource) rejectsPath(given string) string { return given }
func (s *querySource) statePath(string) string         { return "" }
func (s *querySource) unchanged() error                { return nil }

func (s *querySource) load(ctx context.Context, opts loader.Options, to loader.Recorder) (loader.Report, error) {
	report, err := loader.ImportQuery(ctx, s.query, opts, to)
	s.ended = err == nil
	return report, err
}

func openInput(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(path)
}
