package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/server"
)

// A list of any length is held in memory so many rows, and so many bytes, at a time.
const (
	windowRows   = 16_000
	windowBytes  = 8 << 20
	screenedEach = 1000 // numbers in one message
)

// noLeave stands under every screening.
const noLeave = "This does not replace the check before each call: nothing here is leave to dial."

// undecided is the verdict of a line that cannot be decided: whoever reads only this column dials nothing.
const undecided = "ERROR"

var screenedHeaders = []string{"screen_verdict", "screen_reason", "screen_basis", "screen_valid_until"}

func screenList(cmd *cobra.Command, path string) error {
	f := flags{cmd.Flags()}
	at, err := parseTime("at", f.text("at"))
	if err != nil {
		return usage(err)
	}
	if f.flag("json") && f.text("out") == "" {
		return usage(errors.New("--json needs --out: the list and the summary cannot both go to standard output"))
	}
	list, in, err := openScreened(cmd, path)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	out, summary, err := screenOutputs(cmd, path)
	if err != nil {
		return err
	}
	l := &listScreening{c: c, list: list, at: at, warm: f.flag("warm"), counts: map[string]uint64{}, began: time.Now()}
	if err := errors.Join(l.all(cmd.Context(), out), out.Close()); err != nil {
		return (&screening{}).failed(path, err)
	}
	if l.decided == 0 {
		return usage(fmt.Errorf("%s: %s", path, l.nothing()))
	}
	if f.flag("json") {
		err = l.printJSON(summary)
	} else {
		l.print(summary)
	}
	if err != nil || l.counts[undecided] > 0 {
		return exit(exitFailed, err)
	}
	return nil
}

// screenOutputs are where the list goes, and where the summary does.
func screenOutputs(cmd *cobra.Command, path string) (list io.WriteCloser, summary io.Writer, err error) {
	name := flags{cmd.Flags()}.text("out")
	if name == "" {
		return unclosed{cmd.OutOrStdout()}, cmd.ErrOrStderr(), nil
	}
	if from, err := os.Stat(path); err == nil {
		if to, err := os.Stat(name); err == nil && os.SameFile(from, to) {
			return nil, nil, usage(errors.New("--out names the list itself, which would be lost"))
		}
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return file, cmd.OutOrStdout(), usage(err)
}

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// listScreening takes a list through the service, window by window.
type listScreening struct {
	c       *connection
	list    *numberList
	at      *timestamppb.Timestamp
	warm    bool
	out     *csv.Writer
	began   time.Time
	decided uint64
	counts  map[string]uint64 // by verdict and reason, and of undecided lines
	first   string            // what is wrong with the first undecided line
}

// window is a part of a list, and what the service says of it.
type window struct {
	rows    []listedCall
	answers []*belpoortv1.ScreenedNumber // nil where a row has a problem
	err     error                        // io.EOF: the last one
}

func (l *listScreening) all(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	buffered := bufio.NewWriterSize(out, 1<<16)
	if l.list.marked {
		_, _ = buffered.WriteString("\xef\xbb\xbf")
	}
	l.out = csv.NewWriter(buffered)
	l.out.Comma = l.list.rows.Comma
	if l.list.headers != nil {
		_ = l.out.Write(append(slices.Clone(l.list.headers), screenedHeaders...)) // the writer keeps its error
	}
	windows := make(chan *window, 1)
	go l.read(ctx, windows)
	for w := range windows {
		if w.err != nil && !errors.Is(w.err, io.EOF) {
			return w.err
		}
		if err := l.screen(ctx, w); err != nil {
			return err
		}
		if err := l.write(w); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// read fills windows ahead of the service.
func (l *listScreening) read(ctx context.Context, windows chan<- *window) {
	defer close(windows)
	for {
		w := &window{}
		for size := 0; len(w.rows) < windowRows && size < windowBytes && w.err == nil; {
			var row listedCall
			if row, w.err = l.list.next(); w.err == nil {
				w.rows = append(w.rows, checked(row))
				for _, cell := range row.cells {
					size += len(cell)
				}
			}
		}
		w.answers = make([]*belpoortv1.ScreenedNumber, len(w.rows))
		select {
		case windows <- w:
		case <-ctx.Done():
			return
		}
		if w.err != nil {
			return
		}
	}
}

// checked finds what the service would refuse a whole message for.
func checked(row listedCall) listedCall {
	switch {
	case row.problem != "":
	case row.call.Callee == "":
		row.field, row.problem = "callee", "callee is missing"
	case len(row.call.Callee) > 40:
		row.field, row.problem = "callee", "callee is longer than 40 bytes"
	case len(row.call.Person) > 128:
		row.field, row.problem = "person", "person is longer than 128 bytes"
	}
	return row
}

// screen puts the rows of each campaign and caller ID to the service in a stream of their own.
func (l *listScreening) screen(ctx context.Context, w *window) error {
	groups := map[[2]string][]int{}
	var order [][2]string
	for i := range w.rows {
		if w.rows[i].problem != "" {
			continue
		}
		key := [2]string{w.rows[i].call.Campaign, w.rows[i].call.CallerId}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], i)
	}
	for _, key := range order {
		err := l.screenGroup(ctx, w, groups[key])
		problem, itsOwn := problemOf(err)
		if err != nil && !itsOwn {
			return refused(err)
		}
		for _, i := range groups[key] {
			if err != nil {
				w.rows[i].problem = problem
			}
		}
	}
	return nil
}

// problemOf tells an answer about a campaign or caller ID that the list names from one about the service.
func problemOf(err error) (problem string, itsOwn bool) {
	_, field := server.ReasonOf(err)
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied:
		return status.Convert(err).Message(), field == "campaign" || field == "caller_id"
	default:
		return "", false
	}
}

func (l *listScreening) screenGroup(ctx context.Context, w *window, rows []int) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience(len(rows)))
	defer cancel()
	stream, err := belpoortv1.NewGatekeeperServiceClient(l.c).ScreenNumbers(ctx)
	if err != nil {
		return err
	}
	go func() {
		for some := range slices.Chunk(rows, screenedEach) {
			if stream.Send(l.request(w, some)) != nil {
				return // the answer says why
			}
		}
		_ = stream.CloseSend()
	}()
	for some := range slices.Chunk(rows, screenedEach) {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(answer.GetNumbers()) != len(some) {
			return status.Errorf(codes.Internal, "the service answered %d of %d numbers", len(answer.GetNumbers()), len(some))
		}
		for k, i := range some {
			w.answers[i] = answer.GetNumbers()[k]
		}
		if l.at == nil {
			l.at = answer.GetDialTime() // all of the list is asked about one instant
		}
	}
	return nil
}

// patience leaves a warmed list the time that its pace takes.
func (l *listScreening) patience(rows int) time.Duration {
	if !l.warm {
		return l.c.timeout
	}
	return l.c.timeout + time.Duration(rows)*time.Second/100
}

func (l *listScreening) request(w *window, rows []int) *belpoortv1.ScreenNumbersRequest {
	first := w.rows[rows[0]].call
	req := &belpoortv1.ScreenNumbersRequest{Campaign: first.Campaign, CallerId: first.CallerId, DialTime: l.at, Warm: l.warm}
	for _, i := range rows {
		req.Callees = append(req.Callees, w.rows[i].call.Callee)
		if l.list.places[3] >= 0 {
			req.Persons = append(req.Persons, w.rows[i].call.Person)
		}
	}
	return req
}

func (l *listScreening) write(w *window) error {
	for i := range w.rows {
		row := &w.rows[i]
		cells := slices.Clone(row.cells)
		for len(cells) < l.list.width {
			cells = append(cells, "")
		}
		_ = l.out.Write(append(cells, l.judged(row, w.answers[i])...))
	}
	l.out.Flush()
	return l.out.Error()
}

// judged gives the cells that are added to a row, and counts it.
func (l *listScreening) judged(row *listedCall, answer *belpoortv1.ScreenedNumber) []string {
	if row.problem != "" || answer == nil {
		problem := fmt.Sprintf("line %d: %s", row.line, row.problem)
		if l.first == "" {
			l.first = problem
		}
		l.counts[undecided]++
		return []string{undecided, problem, "", ""}
	}
	l.decided++
	verdict, reason := eligibility.Verdict(answer.GetVerdict()).String(), eligibility.Reason(answer.GetReason()).String()
	l.counts[verdict+" "+reason]++
	until := ""
	if answer.GetValidUntil() != nil {
		until = answer.GetValidUntil().AsTime().In(eligibility.Amsterdam).Format(time.RFC3339)
	}
	return []string{verdict, reason, answer.GetBasis().GetArticle(), until}
}

func (l *listScreening) nothing() string {
	if l.first == "" {
		return "holds no numbers"
	}
	return fmt.Sprintf("none of %s could be decided; %s", plural(l.counts[undecided], "line"), l.first)
}

// sorted are the counts, the most frequent first.
func (l *listScreening) sorted() []string {
	return slices.SortedFunc(maps.Keys(l.counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.counts[b], l.counts[a]), cmp.Compare(a, b))
	})
}

func (l *listScreening) print(w io.Writer) {
	took := time.Since(l.began).Seconds()
	fmt.Fprintf(w, "%s screened in %.1f s (%s a second)\n", plural(l.decided, "number"), took, grouped(uint64(float64(l.decided)/max(took, 0.001))))
	for _, name := range l.sorted() {
		fmt.Fprintf(w, "  %-32s %12s\n", name, grouped(l.counts[name]))
	}
	field(w, "at", local(l.at))
	field(w, "error", l.first)
	fmt.Fprintln(w, noLeave)
}

func (l *listScreening) printJSON(w io.Writer) error {
	type count struct {
		Verdict string `json:"verdict"`
		Reason  string `json:"reason,omitempty"`
		Count   uint64 `json:"count"`
	}
	answer := struct {
		Decided  uint64    `json:"decided"`
		Errors   uint64    `json:"errors"`
		Error    string    `json:"first_error,omitempty"`
		DialTime time.Time `json:"dial_time"`
		Seconds  float64   `json:"seconds"`
		Answers  []count   `json:"answers"`
		Note     string    `json:"note"`
	}{l.decided, l.counts[undecided], l.first, l.at.AsTime(), time.Since(l.began).Seconds(), nil, noLeave}
	for _, name := range l.sorted() {
		if name != undecided {
			verdict, reason, _ := strings.Cut(name, " ")
			answer.Answers = append(answer.Answers, count{verdict, reason, l.counts[name]})
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}
