package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/loader"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const (
	stateFormat = 2
	maxState    = 64 << 10
	// noteEvery is how often it is noted how far an import is: each time takes the disk, and what was recorded since the
	// last one is handed over again, and unchanged, when the import goes on.
	noteEvery = 200 * time.Millisecond
)

// importState is how far an import is, in a file of its own. Its zero value, for what cannot go on, keeps nothing.
type importState struct {
	Format     int
	ID         string
	Kind       loader.Kind
	Options    string // of source and mapping, hashed
	Size       int64  // of the input
	SHA256     string
	Rejects    string
	Began      time.Time
	Resumed    uint32
	Noted      time.Time
	Checkpoint loader.Checkpoint
	Ended      json.RawMessage `json:",omitempty"` // the report, from when it is sent until the service has it

	path  string
	saved time.Time
}

// goesOn tells that an earlier run was cut off after some rows, or before anybody had its report.
func (s *importState) goesOn() bool { return s.Resumed > 0 }

// over tells that all rows are dealt with, and only the report is not recorded yet.
func (s *importState) over() bool { return len(s.Ended) > 0 }

// openState finds what an earlier run of this very import noted, or begins to note.
func (r *importRun) openState() (*importState, error) {
	s := &importState{
		Format: stateFormat, ID: r.id, Kind: r.kind, Size: r.source.size(), SHA256: r.source.content(), Began: time.Now().UTC(),
		Options: derivedID(r.f.text("source"), r.mapping.sum, fmt.Sprint(r.f.flag("ignore-unknown"))),
		Rejects: r.rejects.path, path: r.source.statePath(r.f.text("state")),
	}
	if s.path == "" || r.service == nil {
		s.path = ""
		return s, nil
	}
	data, err := readState(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && r.f.flag("restart"):
		return s, s.save()
	case err != nil:
		return nil, err
	}
	earlier := &importState{path: s.path}
	if err := json.Unmarshal(data, earlier); err != nil || earlier.Format != stateFormat || earlier.ID == "" {
		return nil, fmt.Errorf("%s does not say how far the import is: it is damaged, or of another version; --restart begins anew", plainLine(s.path))
	}
	if err := earlier.check(s, r.source.name()); err != nil {
		return nil, err
	}
	there, err := r.inTheLedger(earlier)
	if err != nil {
		return nil, err
	}
	if !there {
		r.tellAnew(earlier)
		return s, s.save()
	}
	earlier.Resumed++
	r.tellResumed(earlier)
	return earlier, earlier.save()
}

// inTheLedger asks whether what an earlier run recorded is in this service's ledger, and not in another's, or in one that was
// restored since to what it was before.
func (r *importRun) inTheLedger(earlier *importState) (bool, error) {
	at := earlier.Checkpoint
	if at.Recorded+at.Unchanged == 0 {
		return true, nil
	}
	if at.Mark.Position == 0 {
		return false, nil
	}
	_, err := r.service.recordFacts(r.cmd.Context(), &belpoortv1.RecordFactsRequest{After: &belpoortv1.LedgerMark{Position: at.Mark.Position, Hash: at.Mark.Hash}})
	if status.Code(err) == codes.FailedPrecondition {
		return false, nil
	}
	return err == nil, refused(err)
}

// tellAnew says why an import does not go on.
func (r *importRun) tellAnew(earlier *importState) {
	if !r.f.flag("quiet") {
		r.say("anew", fmt.Sprintf("%s: the import was cut off after row %d, on %s, but those rows are not in this ledger: it is another one, or was restored; "+
			"it begins anew", r.source.name(), earlier.Checkpoint.Rows, earlier.Noted.Local().Format(time.DateTime)))
	}
}

func readState(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxState || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no note of an import: name another place with --state", plainLine(path))
	}
	return os.ReadFile(path)
}

// check refuses to go on with what is another import now.
func (s *importState) check(now *importState, name string) error {
	was := fmt.Sprintf("an import of %s was cut off at row %d, on %s", name, s.Checkpoint.Rows, s.Noted.Local().Format(time.DateTime))
	switch {
	case s.SHA256 != now.SHA256 && !mutantImportAnyFile:
		return fmt.Errorf("%s, and the file has changed since (%d bytes then, %d now): --restart imports it from its first row; rows that were recorded before change nothing",
			was, s.Size, now.Size)
	case s.Kind != now.Kind:
		return fmt.Errorf("%s, as %s: go on with that, or begin anew with --restart", was, s.Kind)
	case s.Options != now.Options:
		return fmt.Errorf("%s, with another --source, mapping or --ignore-unknown: go on with those, or begin anew with --restart", was)
	case s.ID != now.ID:
		return fmt.Errorf("%s, as %s: go on with that --id, or begin anew with --restart", was, s.ID)
	case s.Rejects != now.Rejects:
		return fmt.Errorf("%s, with its rejects in %s: go on with that, or begin anew with --restart", was, plainLine(s.Rejects))
	}
	return nil
}

func (r *importRun) tellResumed(s *importState) {
	if r.f.flag("quiet") {
		return
	}
	sentence := fmt.Sprintf("%s: import %s goes on after row %d; it was cut off on %s", r.source.name(), s.ID, s.Checkpoint.Rows, s.Noted.Local().Format(time.DateTime))
	if s.over() {
		sentence = fmt.Sprintf("%s: import %s had taken all rows; its report is recorded now", r.source.name(), s.ID)
	}
	r.say("resumed", sentence)
}

// note keeps a place, not more often than the disk is worth; first is done before, so that the file never says more than the
// rejects have.
func (s *importState) note(at loader.Checkpoint, first func() error) error {
	s.Checkpoint = at
	if s.path == "" || time.Since(s.saved) < noteEvery {
		return nil
	}
	s.saved = time.Now()
	if err := first(); err != nil {
		return err
	}
	return s.save()
}

// save replaces the file, whole or not at all.
func (s *importState) save() error {
	if s.path == "" {
		return nil
	}
	s.Noted = time.Now().UTC()
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceDurably(s.path, append(data, '\n')); err != nil {
		return fmt.Errorf("how far the import is cannot be noted in %s: %w; name another place with --state", plainLine(s.path), err)
	}
	return nil
}

// remove forgets an import that nothing is left of.
func (s *importState) remove() error {
	if s.path == "" {
		return nil
	}
	return os.Remove(s.path)
}

// replaceDurably writes beside the file, under a name that is always the same, so that what a crash leaves is used up.
func replaceDurably(path string, content []byte) error {
	draft := path + ".new"
	file, err := os.OpenFile(draft, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
