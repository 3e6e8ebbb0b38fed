package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/loader"
	"github.com/belpoort/belpoort/record"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import KIND FILE... | import KIND --from DATABASE --query SQL", Short: "Import consents, relationships, objections and more from files or a database",
		Long: `Import files, or the rows of a query, into the register. KIND is one of
` + kinds() + `.

A file is CSV, JSON Lines or Parquet; the first two may be packed with gzip or zstd. CSV has a header row; cells are
separated by comma, semicolon or tab; text is UTF-8 or Windows-1252; dates are ISO or Dutch. "-" is standard input.

A row is taken whole or not at all. Rows that are not taken stand in a rejects file beside the input with their line,
column and reason. Importing the same file again changes nothing. docs/import.md lists the columns.

It runs at a lower priority than other programs, and where the service is asked about calls meanwhile it takes facts in turns,
with rests, so that answers stay quick.

An import of a file that was cut off goes on where it was when the same command is given again. How each import ended
stands in the ledger: belpoort imports.

Presets, mappings for layouts that many have (--preset NAME, to be seen with --print-mapping):
` + presetList() + `
` + exitCodesHelp,
		Example: `  belpoort import consents examples/consents-voltwerk.csv
  belpoort import objections opt-outs.csv --preset opt-outs --dry-run
  belpoort import call-reports --preset vicidial-calls --print-mapping > vicidial.yaml
  BELPOORT_FROM=postgres://crm@db.example/crm belpoort import objections --query "SELECT phone, org AS organisation, at, via FROM optouts" --rejects crm.rejects.csv`,
		RunE: importAll,
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("mapping", "", "YAML file that says what the columns mean")
	f.String("preset", "", "a mapping that comes with Belpoort: "+join(presetNames()))
	f.StringArray("default", nil, "COLUMN=TEXT for rows that have none, such as organisation=voltwerk (may be repeated)")
	f.Bool("print-mapping", false, "print the preset as a mapping file, and import nothing")
	f.String("source", "", "name of the source, for files with a record id of their own, such as crm")
	f.Bool("ignore-unknown", false, "pass over columns that are not known")
	f.String("rejects", "", "where to write rejected rows (default: beside the input, as NAME.rejects.csv; needed without a file)")
	f.String("id", "", "the import's id (default: made from content, kind, source and mapping)")
	f.String("state", "", "where to note how far an import is (default: beside the input, as NAME.import)")
	f.Bool("restart", false, "begin anew an import that was cut off")
	f.String("from", "", "PostgreSQL database to read instead of a file: postgres://USER@HOST/DATABASE; keep the password in ~/.pgpass, or all of it in BELPOORT_FROM")
	f.String("query", "", "the SELECT whose rows are imported; columns go by their names")
	f.Duration("query-timeout", time.Minute, "how long the database may take for the next rows")
	f.Bool("dry-run", false, "only read and judge, and show the first rows as they would be recorded; needs no service")
	f.Bool("json", false, "print the report as JSON, a line for each file, and progress as JSON on standard error")
	f.Bool("quiet", false, "print nothing but errors and, where rows were rejected, the report")
	return cmd
}

func kinds() string {
	names := make([]string, 0, len(loader.Kinds()))
	for _, k := range loader.Kinds() {
		names = append(names, string(k))
	}
	return join(names)
}

// importing is one command's work: what is the same for all its files.
type importing struct {
	cmd      *cobra.Command
	f        flags
	kind     loader.Kind
	mapping  mappingChosen
	service  *connection // nil for a dry run
	out, err io.Writer
}

func importAll(cmd *cobra.Command, args []string) error {
	i := &importing{cmd: cmd, f: flags{cmd.Flags()}, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	if i.f.flag("print-mapping") {
		return usage(i.printMapping())
	}
	if err := i.check(args); err != nil {
		return usage(err)
	}
	i.kind = loader.Kind(args[0])
	giveWay()
	defer stayWithin(importMemory)()
	var err error
	if i.mapping, err = i.chooseMapping(); err != nil {
		return usage(err)
	}
	if !i.f.flag("dry-run") {
		if i.service, err = connect(cmd); err != nil {
			return err
		}
		defer i.service.Close()
	}
	rejected := false
	for _, source := range i.sources(args[1:]) {
		report, err := i.one(source)
		if err != nil {
			return err
		}
		rejected = rejected || report.Rejected > 0
	}
	if rejected {
		return exit(exitFailed, nil)
	}
	return nil
}

func (i *importing) check(args []string) error {
	query := i.f.text("from") != "" || i.f.text("query") != ""
	switch {
	case len(args) == 0:
		return fmt.Errorf("want a kind of file, one of %s, and files", kinds())
	case !slices.Contains(loader.Kinds(), loader.Kind(args[0])):
		return fmt.Errorf("%q is no kind of file; want one of %s", args[0], kinds())
	case query && len(args) > 1:
		return errors.New("--from and --query take the place of files: give the one or the other")
	case query && (i.f.text("from") == "" || i.f.text("query") == ""):
		return errors.New("--from and --query belong together")
	case !query && len(args) == 1:
		return errors.New("want files to import, or --from and --query")
	case i.f.text("mapping") != "" && i.f.text("preset") != "":
		return errors.New("--mapping and --preset are two mappings: print the preset with --print-mapping and change it")
	case i.f.text("id") != "" && !record.IsImportID(i.f.text("id")):
		return errors.New("--id: must be 1 to 64 letters, digits, dots, hyphens and underscores, and hold no telephone number")
	case i.f.flag("json") && i.f.flag("quiet"):
		return errors.New("--json and --quiet: give the one or the other")
	}
	for _, name := range []string{"rejects", "state", "id"} {
		if len(args) > 2 && i.f.text(name) != "" {
			return fmt.Errorf("--%s is of one file: import one at a time", name)
		}
	}
	return nil
}

// sources opens nothing yet.
func (i *importing) sources(paths []string) []importSource {
	if i.f.text("from") != "" {
		return []importSource{&querySource{query: loader.Query{
			Database: i.f.text("from"), SQL: i.f.text("query"), Timeout: i.f.duration("query-timeout"),
		}}}
	}
	var all []importSource
	for _, path := range paths {
		if path == "-" {
			all = append(all, &pipeSource{shown: "standard input", in: i.cmd.InOrStdin()})
			continue
		}
		all = append(all, &fileSource{path: path})
	}
	return all
}

// one imports one file, pipe or query, and tells what became of it.
func (i *importing) one(source importSource) (loader.Report, error) {
	if err := source.open(); err != nil {
		return loader.Report{}, usage(err)
	}
	defer source.close()
	r, err := i.begin(source)
	if err != nil {
		return loader.Report{}, usageUnlessTold(err)
	}
	if !r.state.over() {
		r.load()
	}
	return r.report, r.end()
}

// begin finds where an import stands, and makes ready what it writes.
func (i *importing) begin(source importSource) (*importRun, error) {
	r := &importRun{importing: i, source: source, rejects: &lateFile{path: source.rejectsPath(i.f.text("rejects"))}}
	if r.rejects.path == "" {
		return nil, errors.New("--rejects is needed where there is no file beside which to write them")
	}
	if source.content() != "" {
		r.id = i.idOf(source.content())
	}
	if id := i.f.text("id"); id != "" {
		r.id = id
	}
	state, err := r.openState()
	if err != nil {
		return nil, err
	}
	r.state = state
	if !state.goesOn() {
		return r, r.clearRejects()
	}
	return r, r.rejects.goOn(state.Checkpoint.RejectsBytes)
}

// clearRejects removes what an earlier import of the file left.
func (r *importRun) clearRejects() error {
	if r.f.text("rejects") != "" {
		return nil
	}
	if err := os.Remove(r.rejects.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// importRun is one import under way.
type importRun struct {
	*importing
	source  importSource
	id      string // "" until the content is known
	rejects *lateFile
	state   *importState
	preview preview

	report loader.Report
	failed error
}

// load takes the rows, from where the state says.
func (r *importRun) load() {
	opts := loader.Options{
		Kind: r.kind, Name: r.f.text("source"), Rejects: r.rejects, IgnoreUnknown: r.f.flag("ignore-unknown"), Mapping: r.mapping.mapping,
		Resume: r.state.Checkpoint,
	}
	var to loader.Recorder = &r.preview
	if r.service != nil {
		to, opts.UnderWay = recorder{r.service, r.state}, loader.MaxUnderWay
	}
	ctx, stop := context.WithCancelCause(r.cmd.Context())
	defer stop(nil)
	shown := r.progress()
	opts.Progress = func(p loader.Progress) {
		if err := r.note(p); err != nil {
			stop(fmt.Errorf("noting how far the import is: %w", err))
		}
		shown.show(p)
	}
	r.report, r.failed = r.source.load(ctx, opts, to)
	shown.end()
	if r.failed == nil {
		r.failed = r.source.unchanged()
	}
	if closing := r.rejects.Close(); r.failed == nil {
		r.failed = closing
	}
	if cause := context.Cause(ctx); cause != nil && r.cmd.Context().Err() == nil {
		r.failed = cause
	}
	if r.service == nil {
		r.report.Valid, r.report.Recorded = r.report.Recorded, 0
	}
}

// note keeps a place between two rows, if all before it was answered for and stands in the rejects file.
func (r *importRun) note(p loader.Progress) error {
	if p.Unconfirmed > 0 || r.rejects.failed {
		return nil
	}
	return r.state.note(p.Checkpoint, r.rejects.sync)
}

// idOf is the same for the same content, kind, source and mapping.
func (i *importing) idOf(content string) string {
	return derivedID(content, string(i.kind), i.f.text("source"), i.mapping.sum, fmt.Sprint(i.f.flag("ignore-unknown")))
}

// lateFile is a file that comes to be with its first byte, or goes on with one that is there.
type lateFile struct {
	path   string
	file   *os.File
	dirty  bool
	failed bool
}

func (l *lateFile) Write(p []byte) (n int, err error) {
	defer func() { l.failed = l.failed || err != nil }()
	if l.file == nil {
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return 0, err
		}
	}
	l.dirty = true
	return l.file.Write(p)
}

// goOn cuts off what was written after the place that was noted, and writes on from there.
func (l *lateFile) goOn(size int64) error {
	if size == 0 {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("the rejects of the import that was cut off: %w; --restart begins it anew", err)
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err == nil && end < size {
		err = fmt.Errorf("%s is shorter than when the import was cut off; --restart begins it anew", l.path)
	}
	if err == nil {
		err = file.Truncate(size)
	}
	if err == nil {
		_, err = file.Seek(size, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return err
	}
	l.file = file
	return nil
}

func (l *lateFile) sync() error {
	if l.file == nil || !l.dirty {
		return nil
	}
	l.dirty = false
	return l.file.Sync()
}

func (l *lateFile) Close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.sync(), l.file.Close())
}

func presetNames() []string {
	var names []string
	for _, p := range loader.Presets() {
		names = append(names, p.Name)
	}
	return names
}

func presetList() string {
	var list strings.Builder
	for _, p := range loader.Presets() {
		fmt.Fprintf(&list, "  %-16s %s: %s\n", p.Name, p.Mapping.Kind, p.Mapping.About)
	}
	return list.String()
}
