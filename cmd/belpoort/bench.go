package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/belpoort/belpoort/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure the service on this machine, beside bare servers", Args: cobra.NoArgs,
		Long: `Measure CheckCall on this machine: calls per second, latency, CPU time per call. One number says little on a machine
that others use too, so the service runs in turns with bare gRPC servers that answer messages of the same size:

  allow, deny, mixed  CheckCall about callees who may be called, who may not, or both in the shares of --mix
  plain, json         the same question about callees who may be called, over HTTP/1.1: a plain check, and JSON
  agi                 the same over FastAGI, a connection for each call, as Asterisk asks; with 256 callers at most
  screen              lists of 1,000 callees in the shares of --mix, by ScreenNumbers, in closed loops, at most 16 at a time;
                      a call is a list
  echo                a server that only answers
  echo+fdatasync      one that first appends a record as large as a decision, with one fdatasync for all who wait
  echo+get            one that first gets a record from the Redis of --redis

and the ratios are what to look at. Closed loop: so many callers, each waiting for its answer. Open loop: so many calls a
second, whatever happens; latency counts from when a call was due, so a stall is charged for every call that it delayed.
Every answer is looked at: an error or a wrong verdict counts as an error, and makes the exit code 1.

Without --address a service is started for the run, on a temporary data folder, and removed afterwards. With --address a
running one is measured: its catalogue gets an organisation "` + bench.Name + `" for as long as the run lasts, and the consents
and objections of the generated callees, and the decisions about them, stay in its ledger for ever; --keep-facts says that
you want that. The callees have numbers that cannot be assigned to anybody. Where that service keeps a callee for one call
at a time (serve --allow-window), there must be more --callees than it answers within that window, and screen counts against
what the key may screen in an hour (serve --screen-limit).

` + exitCodesHelp,
		Example: `  belpoort bench
  belpoort bench --callers 64 --rate 2000,8000 --duration 30s --rounds 10 --plot latency.svg
  belpoort bench --address 127.0.0.1:2357 --pid 4711 --keep-facts --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return measure(cmd) },
	}
	benchFlags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use: "baseline", Short: "Serve a baseline; bench starts this by itself", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := bench.ServeBaseline(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout()); err != nil {
				return exit(exitFailed, err)
			}
			return nil
		},
	})
	return cmd
}

func benchFlags(cmd *cobra.Command) {
	clientFlags(cmd)
	f := cmd.Flags()
	address := f.Lookup("address")
	_ = address.Value.Set("")
	address.DefValue, address.Usage = "", "measure the service that runs there (default: one started for the run)"
	f.Bool("keep-facts", false, "with --address: agree that the generated facts stay in that service's ledger")
	f.String("http-url", "", "with --address: where that service's doors over HTTP are, such as http://127.0.0.1:2358; for plain and json")
	f.String("agi-address", "", "with --address: where that service serves FastAGI, such as 127.0.0.1:4573; for agi")
	f.Int("pid", 0, "with --address: the service's process on this machine, to read its CPU time")
	f.String("ledger", "", "URL of a PostgreSQL ledger, as of serve, for the service started for the run: an empty database, of no use afterwards")
	f.String("redis", "", "URL of a Redis: also measure echo+get; a service started for the run, which then needs --ledger, uses it too")
	f.StringSlice("contestants", nil, "what to measure (default: allow, deny, screen, echo, echo+fdatasync, and with --redis echo+get)")
	f.IntSlice("callers", []int{1, 8, 64, 256}, "callers of the closed loops; 0 for none")
	f.IntSlice("rate", []int{2000}, "calls per second of the open loops; 0 for none")
	f.Int("connections", 4, "connections to each server")
	f.Duration("duration", 6*time.Second, "time measured for each line of the table, over all rounds")
	f.Int("rounds", 3, "rounds in which the contestants take turns")
	f.Int("callees", 20_000, "generated callees")
	f.Float64("mix", 0.5, "share of them who may be called")
	f.Uint64("seed", 1, "which callees are generated")
	f.String("folder", os.TempDir(), "folder for temporary files; its disk is what is measured")
	f.Bool("json", false, "print the result as JSON")
	f.String("plot", "", "also draw the distribution of latency in this .svg or .html file")
}

// benchOptions are what bench can be told.
type benchOptions struct {
	plan          bench.Plan
	population    bench.Population
	seed          uint64
	contestants   []string
	address, plot string
	ledger, redis string
	http          string // base address of the doors of the service at address
	agi           string // where it serves FastAGI
	pid           int
	folder        string
	json          bool
}

func readBenchOptions(cmd *cobra.Command) (*benchOptions, error) {
	f := flags{cmd.Flags()}
	mix, _ := f.set.GetFloat64("mix")
	seed, _ := f.set.GetUint64("seed")
	population, err := bench.NewPopulation(f.number("callees"), mix, seed)
	if err != nil {
		return nil, fmt.Errorf("--%w", err)
	}
	o := &benchOptions{
		population: population, seed: seed, address: f.text("address"), ledger: f.text("ledger"), redis: f.text("redis"), plot: f.text("plot"),
		http: f.text("http-url"), agi: f.text("agi-address"), pid: f.number("pid"), folder: f.text("folder"), json: f.flag("json"),
		plan: bench.Plan{
			Loads: benchLoads(f), Connections: f.number("connections"), Rounds: f.number("rounds"), Duration: f.duration("duration"),
			Timeout: f.duration("timeout"),
		},
	}
	if o.plan.Rounds > 0 {
		if err := o.plan.Check(); err != nil {
			return nil, fmt.Errorf("--%w", err)
		}
	} else {
		return nil, fmt.Errorf("--rounds %d: want 1 or more", o.plan.Rounds)
	}
	if o.contestants, err = contestantNames(f.texts("contestants"), o.redis != ""); err != nil {
		return nil, err
	}
	return o, o.check(f.flag("keep-facts"))
}

func benchLoads(f flags) []bench.Load {
	var loads []bench.Load
	callers, _ := f.set.GetIntSlice("callers")
	for _, n := range callers {
		if n != 0 {
			loads = append(loads, bench.Load{Callers: n})
		}
	}
	rates, _ := f.set.GetIntSlice("rate")
	for _, n := range rates {
		if n != 0 {
			loads = append(loads, bench.Load{Rate: n})
		}
	}
	return loads
}

func contestantNames(named []string, redis bool) ([]string, error) {
	all := []string{bench.Allow, bench.Deny, bench.Mixed, bench.Plain, bench.JSON, bench.AGI, bench.Screen, bench.Echo, bench.EchoSync, bench.EchoGet}
	if len(named) == 0 {
		return slices.DeleteFunc(all, func(name string) bool {
			return slices.Contains([]string{bench.Mixed, bench.Plain, bench.JSON, bench.AGI}, name) || name == bench.EchoGet && !redis
		}), nil
	}
	for i, name := range named {
		switch {
		case !slices.Contains(all, name):
			return nil, fmt.Errorf("--contestants %q: want some of %s", name, join(all))
		case slices.Contains(named[:i], name):
			return nil, fmt.Errorf("--contestants: %s stands there twice", name)
		case name == bench.EchoGet && !redis:
			return nil, fmt.Errorf("--contestants: %s needs --redis", name)
		}
	}
	return named, nil
}

func (o *benchOptions) check(keepFacts bool) error {
	if kind := filepath.Ext(o.plot); o.plot != "" && kind != ".svg" && kind != ".html" {
		return fmt.Errorf("--plot %s: want a file that ends in .svg or .html", o.plot)
	}
	if _, err := os.Stat(filepath.Dir(o.plot)); o.plot != "" && err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	if o.address == "" && (keepFacts || o.pid != 0 || o.http != "" || o.agi != "") {
		return errors.New("--keep-facts, --http-url, --agi-address and --pid belong to --address")
	}
	if err := o.checkDoors(); err != nil {
		return err
	}
	if o.address != "" && o.ledger != "" {
		return errors.New("--ledger is for a service started for the run, --address for one that runs already")
	}
	if o.address == "" && o.redis != "" && o.ledger == "" {
		return errors.New("--redis needs --ledger: one node on its own keeps its cache in its memory")
	}
	if o.address != "" && !keepFacts {
		return fmt.Errorf("--address: facts about %d callees would stay in the ledger of the service at %s for ever; "+
			"say --keep-facts if you want that", o.population.Allowed()+o.population.Denied(), o.address)
	}
	if o.pid != 0 {
		if _, err := bench.ProcessCPU(o.pid); err != nil {
			return fmt.Errorf("--pid %d: %w", o.pid, err)
		}
	}
	return nil
}

// checkDoors says which address of a running service is missing.
func (o *benchOptions) checkDoors() error {
	if o.address != "" && o.http == "" && o.overHTTP() {
		return fmt.Errorf("--contestants: %s and %s need --http-url beside --address", bench.Plain, bench.JSON)
	}
	if o.address != "" && o.agi == "" && o.overAGI() {
		return fmt.Errorf("--contestants: %s needs --agi-address beside --address", bench.AGI)
	}
	return nil
}

func (o *benchOptions) overAGI() bool { return slices.Contains(o.contestants, bench.AGI) }

func (o *benchOptions) overHTTP() bool {
	return slices.Contains(o.contestants, bench.Plain) || slices.Contains(o.contestants, bench.JSON)
}

func measure(cmd *cobra.Command) error {
	o, err := readBenchOptions(cmd)
	if err != nil {
		return usage(err)
	}
	program, err := os.Executable()
	if err != nil {
		return exit(exitFailed, err)
	}
	folder, err := os.MkdirTemp(o.folder, "belpoort-bench-*")
	if err != nil {
		return usage(fmt.Errorf("--folder: %w", err))
	}
	b := &benchRun{cmd: cmd, benchOptions: o, program: program, temporary: folder}
	report, err := b.run()
	if err := errors.Join(err, b.close(), os.RemoveAll(folder)); err != nil {
		return benchFailed(err)
	}
	if err := o.publish(cmd, report); err != nil {
		return exit(exitFailed, err)
	}
	if n, first := report.Errors(); n > 0 {
		return exit(exitFailed, fmt.Errorf("%d calls failed or were answered wrongly; %s", n, first))
	}
	return nil
}

// benchFailed is an answer of the service, where it was one, as other commands show it.
func benchFailed(err error) error {
	if known, ok := errors.AsType[*exitError](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	return exit(exitFailed, err)
}

// benchRun is one run and what has to be closed after it, the last first.
type benchRun struct {
	*benchOptions
	cmd       *cobra.Command
	program   string // this one
	temporary string
	opened    []func() error
	report    bench.Report
}

func (b *benchRun) close() error {
	var errs []error
	for _, closing := range slices.Backward(b.opened) {
		errs = append(errs, closing())
	}
	return errors.Join(errs...)
}

func (b *benchRun) run() (*bench.Report, error) {
	ctx := b.cmd.Context()
	service, contestants, err := b.openService()
	if err != nil {
		return nil, err
	}
	sizes, err := b.prepare(ctx, service)
	if err != nil {
		return nil, err
	}
	for _, name := range b.contestants {
		if strings.HasPrefix(name, bench.Echo) {
			contestant, err := b.openBaseline(name, sizes)
			if err != nil {
				return nil, err
			}
			contestants = append(contestants, contestant)
		}
	}
	slices.SortFunc(contestants, func(x, y bench.Contestant) int {
		return slices.Index(b.contestants, x.Name) - slices.Index(b.contestants, y.Name)
	})
	b.describe(sizes)
	lines := time.Duration(len(contestants) * len(b.plan.Loads))
	b.say("%d lines of %v each, about %v in all", lines, b.plan.Duration, (lines * b.plan.Duration * 11 / 10).Round(time.Second))
	b.plan.Progress = func(round int) { b.say("round %d of %d", round+1, b.plan.Rounds) }
	b.report.Cells, err = bench.Run(ctx, b.plan, contestants)
	b.report.Ratios, b.report.Lists = bench.Ratios(b.report.Cells), bench.ListRatios(b.report.Cells)
	return &b.report, err
}

func (b *benchRun) say(format string, words ...any) {
	fmt.Fprintf(b.cmd.ErrOrStderr(), "bench: "+format+"\n", words...)
}

func (b *benchRun) describe(sizes bench.Sizes) {
	r := &b.report
	r.Version, r.Began = version, time.Now()
	r.Machine = fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	r.Allowed, r.Denied, r.Seed, r.Sizes = b.population.Allowed(), b.population.Denied(), b.seed, sizes
	r.Connections, r.Rounds, r.Duration = b.plan.Connections, b.plan.Rounds, b.plan.Duration.Seconds()
	if bench.InMemory(b.folder) {
		r.Notes = append(r.Notes, b.folder+" is kept in memory, where fdatasync costs nothing; name a disk with --folder")
	}
}

// openService connects to the running service, or to one that it starts, and gives the contestants that ask it.
func (b *benchRun) openService() (*bench.Service, []bench.Contestant, error) {
	f := flags{b.cmd.Flags()}
	address, transport, pid, base, agi := b.address, insecure.NewCredentials(), b.pid, b.http, b.agi
	var key string
	var err error
	if b.address == "" {
		b.report.Service = "started for this run on an empty data folder, with its own ledger and cache"
		if b.ledger != "" {
			b.report.Service = "started for this run on a PostgreSQL ledger"
		}
		if b.redis != "" {
			b.report.Service += ", with its cache in Redis"
		}
		var started startedService
		started, err = b.startService()
		address, key, pid, base, agi = started.Grpc, started.key, started.pid, "http://"+started.HTTP, started.AGI
	} else {
		b.report.Service = "running at " + b.address
		if key, err = readKey(f); err == nil {
			transport, err = transportOf(f)
		}
		err = usage(err)
	}
	if err != nil {
		return nil, nil, err
	}
	if transport.Info().SecurityProtocol == "tls" {
		b.report.Notes = append(b.report.Notes, "the service is spoken to over TLS, the bare servers are not")
	}
	conns, err := b.dial(address, transport, key)
	if err != nil {
		return nil, nil, usage(fmt.Errorf("--address: %w", err))
	}
	var cpu func() (time.Duration, error)
	if pid != 0 {
		cpu = func() (time.Duration, error) { return bench.ProcessCPU(pid) }
	} else {
		b.report.Notes = append(b.report.Notes,
			"without --pid the service's CPU time is not known, and what it puts off until after its answers falls to others")
	}
	service := bench.NewService(conns, b.population)
	all := service.Contestants(cpu)
	if b.overHTTP() {
		config, err := clientTLS(f)
		if err != nil {
			return nil, nil, usage(err)
		}
		all = append(all, service.Doors(strings.TrimSuffix(base, "/"), key, config, cpu)...)
	}
	all = append(all, service.Exchange(agi, key, cpu), service.Screening(b.cmd.Context(), cpu))
	contestants := slices.DeleteFunc(all, func(c bench.Contestant) bool { return !slices.Contains(b.contestants, c.Name) })
	return service, contestants, nil
}

// dial opens as many connections as were asked for, all with the same headers.
func (b *benchRun) dial(address string, transport credentials.TransportCredentials, key string) ([]grpc.ClientConnInterface, error) {
	conns := make([]grpc.ClientConnInterface, b.plan.Connections)
	for i := range conns {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(bearer(key)),
			grpc.WithUserAgent("belpoort/"+version))
		if err != nil {
			return nil, err
		}
		b.opened = append(b.opened, conn.Close)
		conns[i] = conn
	}
	return conns, nil
}

// prepare brings catalogue and facts into the service, and the facts into its cache.
func (b *benchRun) prepare(ctx context.Context, service *bench.Service) (bench.Sizes, error) {
	if err := service.Enter(ctx); err != nil {
		return bench.Sizes{}, refused(err)
	}
	if b.address != "" {
		b.opened = append(b.opened, func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return refused(service.Leave(ctx))
		})
	}
	began := time.Now()
	facts, err := service.Load(ctx)
	if err != nil {
		return bench.Sizes{}, refused(err)
	}
	b.say("%d facts about %d callees recorded in %.1f s", facts, b.population.Allowed()+b.population.Denied(), time.Since(began).Seconds())
	began = time.Now()
	if err := service.Warm(ctx); err != nil {
		return bench.Sizes{}, benchRefused(err)
	}
	b.report.Warm = time.Since(began).Seconds()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	sizes, err := service.Measure(ctx)
	return sizes, benchRefused(err)
}

// benchRefused keeps a wrong verdict apart from a service that could not answer.
func benchRefused(err error) error {
	if wrong, ok := errors.AsType[*bench.WrongVerdict](err); ok {
		return exit(exitFailed, fmt.Errorf("before the run: %w", wrong))
	}
	return refused(err)
}

// serveFlags are those of a service that is started to be measured, besides its folder and addresses.
func (b *benchRun) serveFlags() []string {
	// Few callees are asked about often; each time is a call of its own.
	more := []string{"--allow-window", "0", "--screen-limit", "0", "--max-checks", "10000"}
	if b.overAGI() {
		more = append(more, "--agi", "127.0.0.1:0")
	}
	if b.ledger != "" {
		more = append(more, "--ledger", b.ledger)
	}
	if b.redis != "" {
		more = append(more, "--redis", b.redis)
	}
	return more
}

// startedService is a service that was started to be measured.
type startedService struct {
	Msg, Grpc, HTTP, AGI string
	key                  string
	pid                  int
}

func (b *benchRun) startService() (s startedService, err error) {
	data := folder(filepath.Join(b.temporary, "data"))
	args := append([]string{"serve", "--data", string(data), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, b.serveFlags()...)
	p := b.child(args...)
	log := &firstLine{found: make(chan string, 1), says: func(line []byte) (string, bool) {
		var entry startedService
		return string(line), json.Unmarshal(line, &entry) == nil && entry.Msg == "serving"
	}}
	p.cmd.Stderr = io.MultiWriter(&p.complaint, log)
	line, err := b.start(p, log)
	if err == nil {
		err = json.Unmarshal([]byte(line), &s)
	}
	if err != nil {
		return s, fmt.Errorf("the service did not start: %w", err)
	}
	plain, err := os.ReadFile(data.operatorKey())
	s.key, s.pid = strings.TrimSpace(string(plain)), p.cmd.Process.Pid
	return s, err
}

func (b *benchRun) openBaseline(kind string, sizes bench.Sizes) (bench.Contestant, error) {
	spec, err := json.Marshal(bench.BaselineSpec{Kind: kind, Sizes: sizes, Folder: b.temporary, Redis: b.redis})
	if err != nil {
		return bench.Contestant{}, err
	}
	p := b.child("bench", "baseline")
	p.task = append(spec, '\n')
	out := &firstLine{found: make(chan string, 1), says: func(line []byte) (string, bool) { return string(line), true }}
	p.cmd.Stdout, p.cmd.Stderr = out, &p.complaint
	address, err := b.start(p, out)
	if err != nil {
		return bench.Contestant{}, fmt.Errorf("%s did not start: %w", kind, err)
	}
	conns, err := b.dial(address, insecure.NewCredentials(), strings.Repeat("x", benchKeyLength))
	cpu := func() (time.Duration, error) { return bench.ProcessCPU(p.cmd.Process.Pid) }
	return bench.BaselineContestant(kind, conns, sizes, cpu), err
}

// benchKeyLength is that of an API key, so that the headers are of one size too.
const benchKeyLength = 47

// publish prints a report, and draws it where that was asked for.
func (o *benchOptions) publish(cmd *cobra.Command, r *bench.Report) error {
	if o.plot != "" {
		if err := o.draw(r); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
	}
	if !o.json {
		return r.WriteTable(cmd.OutOrStdout())
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (o *benchOptions) draw(r *bench.Report) error {
	var picture bytes.Buffer
	write := r.WriteSVG
	if filepath.Ext(o.plot) == ".html" {
		write = r.WriteHTML
	}
	if err := write(&picture); err != nil {
		return err
	}
	return os.WriteFile(o.plot, picture.Bytes(), 0o644)
}
