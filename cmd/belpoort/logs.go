package main

import (
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/belpoort/belpoort/ops"
)

// logs are where a service writes its lines.
type logs struct {
	file, decisions string // "" for the error stream, and for none; "-" as decisions is the standard output
	mib, keep       int
	level           zap.AtomicLevel

	service      *ops.LogFile
	decisionFile *ops.LogFile // nil without a decision log
}

func logFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("log", "", "file for the log (default: the error stream)")
	f.String("log-level", "info", "debug, info, warn or error; PUT /log/level on --ops changes it")
	f.String("decision-log", "", "file for a line of JSON for each answered decision, - for the standard output (default: none)")
	f.Int("log-mib", 100, "size at which a log file is put aside and begun anew, in MiB")
	f.Int("log-keep", 10, "how many of the files put aside are kept of each log")
}

func logOptions(f flags) (logs, error) {
	l := logs{file: f.text("log"), decisions: f.text("decision-log"), mib: f.number("log-mib"), keep: f.number("log-keep")}
	level, err := zapcore.ParseLevel(f.text("log-level"))
	if err != nil || level > zapcore.ErrorLevel {
		return l, fmt.Errorf("--log-level %q: want debug, info, warn or error", f.text("log-level"))
	}
	l.level = zap.NewAtomicLevelAt(level)
	if l.mib < 1 || l.mib > 1<<20 {
		return l, fmt.Errorf("--log-mib %d: want 1 to %d", l.mib, 1<<20)
	}
	if l.keep < 1 || l.keep > 10_000 {
		return l, fmt.Errorf("--log-keep %d: want 1 to 10000", l.keep)
	}
	for _, name := range []string{"log-mib", "log-keep"} {
		if f.set.Changed(name) && l.file == "" && (l.decisions == "" || l.decisions == "-") {
			return l, fmt.Errorf("--%s needs a file: --log or --decision-log", name)
		}
	}
	if l.file != "" && l.file == l.decisions {
		return l, errors.New("--log and --decision-log name the same file")
	}
	return l, nil
}

// open opens the files, so that one that cannot be written is known before anything starts. A reader of a stream that goes
// away must not end the service.
func (l *logs) open(cmd *cobra.Command) (*zap.Logger, error) {
	signal.Ignore(syscall.SIGPIPE)
	said := cmd.ErrOrStderr()
	complain := func(flag string) func(error) {
		return func(err error) { fmt.Fprintf(said, "belpoort: --%s: %v\n", flag, err) }
	}
	l.service = ops.NewLogStream("the error stream", said, func(error) {})
	var err error
	if l.file != "" {
		if l.service, err = ops.OpenLogFile(l.file, l.mib, l.keep, complain("log")); err != nil {
			return nil, fmt.Errorf("--log: %w", err)
		}
	}
	log := newLog(l.service, l.level)
	aboutDecisions := func(err error) {
		log.Warn("the decision log cannot be written", zap.Error(err))
		if l.file != "" {
			complain("decision-log")(err)
		}
	}
	switch l.decisions {
	case "":
	case "-":
		l.decisionFile = ops.NewLogStream("the standard output", cmd.OutOrStdout(), aboutDecisions)
	default:
		if l.decisionFile, err = ops.OpenLogFile(l.decisions, l.mib, l.keep, aboutDecisions); err != nil {
			return nil, errors.Join(fmt.Errorf("--decision-log: %w", err), l.service.Close())
		}
	}
	return log, nil
}

// decisionLog is nil where none is wanted.
func (l *logs) decisionLog(log *zap.Logger) *ops.DecisionLog {
	if l.decisionFile == nil {
		return nil
	}
	return ops.NewDecisionLog(l.decisionFile, decisionWords(), func() {
		log.Warn("the decision log is behind: decisions are left out of it; belpoort_log_lines_lost_total counts them")
	})
}

func (l *logs) close() error {
	var errs []error
	for _, file := range []*ops.LogFile{l.decisionFile, l.service} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

// newLog writes JSON lines.
func newLog(to io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.Lock(zapcore.AddSync(to)), level)
	return zap.New(core)
}
