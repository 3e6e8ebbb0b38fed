package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/loader"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import KIND FILE...", Short: "Import consents, relationships, objections and more from files", Args: cobra.MinimumNArgs(2),
		Long: `Import files into the register. KIND is one of
` + kinds() + `.

A file is CSV, JSON Lines or Parquet; the first two may be packed with gzip or zstd. CSV has a header row; cells are
separated by comma, semicolon or tab; text is UTF-8 or Windows-1252; dates are ISO or Dutch. "-" is standard input.

A row is taken whole or not at all. Rows that are not taken stand in a rejects file beside the input with their line,
column and reason. Importing the same file again changes nothing. docs/import.md lists the columns.

` + exitCodesHelp,
		Example: "  belpoort import consents examples/consents-voltwerk.csv",
		RunE:    func(cmd *cobra.Command, args []string) error { return importFiles(cmd, args[0], args[1:]) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("source", "", "name of the source, for files with a record id of their own, such as crm")
	f.String("rejects", "", "where to write rejected rows (default: beside the input, as NAME.rejects.csv; needed for standard input)")
	f.Bool("dry-run", false, "only read and judge")
	f.Bool("ignore-unknown", false, "pass over columns that are not known")
	return cmd
}

func kinds() string {
	names := make([]string, 0, len(loader.Kinds()))
	for _, k := range loader.Kinds() {
		names = append(names, string(k))
	}
	return join(names)
}

func importFiles(cmd *cobra.Command, kind string, paths []string) error {
	if !slices.Contains(loader.Kinds(), loader.Kind(kind)) {
		return usage(fmt.Errorf("%q is no kind of file; want one of %s", kind, kinds()))
	}
	f := flags{cmd.Flags()}
	if len(paths) > 1 && f.text("rejects") != "" {
		return usage(errors.New("--rejects names one file: import one at a time"))
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	rejected := false
	for _, path := range paths {
		report, err := importFile(cmd, c, loader.Kind(kind), path)
		printReport(cmd.OutOrStdout(), path, report)
		if report.Rejected > 0 {
			field(cmd.OutOrStdout(), "rejects", rejectsPath(f.text("rejects"), path))
		}
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

func importFile(cmd *cobra.Command, c *connection, kind loader.Kind, path string) (loader.Report, error) {
	f := flags{cmd.Flags()}
	in, err := openInput(cmd, path)
	if err != nil {
		return loader.Report{}, usage(err)
	}
	defer in.Close()
	rejects := &lateFile{path: rejectsPath(f.text("rejects"), path)}
	if rejects.path == "" {
		return loader.Report{}, usage(errors.New("--rejects is needed for standard input"))
	}
	if _, err := os.Stat(rejects.path); err == nil && f.text("rejects") == "" {
		if err := os.Remove(rejects.path); err != nil { // of an earlier import of this file
			return loader.Report{}, usage(err)
		}
	}
	report, err := loader.Import(cmd.Context(), in, loader.Options{
		Kind: kind, Name: f.text("source"), Rejects: rejects, DryRun: f.flag("dry-run"), IgnoreUnknown: f.flag("ignore-unknown"),
		UnderWay: loader.MaxUnderWay,
	}, recorder{c})
	if closing := rejects.Close(); err == nil && closing != nil {
		err = closing
	}
	if err == nil {
		return report, nil
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return report, exit(e.code, fmt.Errorf("%s: %w", path, err))
	}
	return report, usage(fmt.Errorf("%s: %w", path, err))
}

func openInput(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(path)
}

func rejectsPath(given, input string) string {
	if given != "" || input == "-" {
		return given
	}
	return strings.TrimSuffix(input, filepath.Ext(input)) + ".rejects.csv"
}

// lateFile is a file that comes to be with its first byte.
type lateFile struct {
	path string
	file *os.File
}

func (l *lateFile) Write(p []byte) (int, error) {
	if l.file == nil {
		var err error
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return 0, err
		}
	}
	return l.file.Write(p)
}

func (l *lateFile) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// recorder hands batches to the service, each in a stream of its own, so that each is answered for.
type recorder struct{ c *connection }

func (r recorder) Record(ctx context.Context, facts []*belpoortv1.RecordFactRequest) (loader.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.c.timeout)
	defer cancel()
	stream, err := belpoortv1.NewRegisterServiceClient(r.c).RecordFacts(ctx)
	if err == nil {
		err = stream.Send(&belpoortv1.RecordFactsRequest{Facts: facts})
	}
	if err != nil && !errors.Is(err, io.EOF) { // at EOF the answer says why
		return loader.Result{}, refused(err)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return loader.Result{}, refused(err)
	}
	result := loader.Result{Recorded: answer.GetRecorded(), Unchanged: answer.GetUnchanged()}
	for _, x := range answer.GetRejections() {
		result.Rejected = append(result.Rejected, loader.Rejected{
			Index: int(x.GetIndex()), Field: x.GetField(), Description: x.GetDescription(),
		})
	}
	return result, nil
}

func printReport(w io.Writer, path string, r loader.Report) {
	fmt.Fprintf(w, "%s: %d rows: %d recorded, %d unchanged, %d rejected", path, r.Rows, r.Recorded, r.Unchanged, r.Rejected)
	if r.Valid > 0 {
		fmt.Fprintf(w, ", %d valid (dry run)", r.Valid)
	}
	if r.Unconfirmed > 0 {
		fmt.Fprintf(w, ", %d unconfirmed: import the file again", r.Unconfirmed)
	}
	fmt.Fprintln(w)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		field(w, "", fmt.Sprintf("%5d  %s", r.Reasons[reason], reason))
	}
}
