package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func join(words []string) string { return strings.Join(words, ", ") }

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the service", Args: cobra.NoArgs,
		Long: `Run the service. Without --ledger it keeps its own ledger (SQLite) in the data folder, for one node. An empty data
folder is filled at the first start: that ledger, a journal of decisions, the deployment's key, and an API key with which
this command line finds the service by itself.

Several nodes share a PostgreSQL ledger (--ledger) and, for speed, a Redis (--redis). Each has a data folder of its own
for its journals, with the same keys/deployment.key and keys/api-keys.yaml: copy them from the first node. What one node
answers "in force" holds on all. docs/operations.md tells what to set up.

gRPC is served on --grpc; the doors over HTTP (JSON, plain checks, forms, /openapi.json) on --http, where "" shuts them;
health and metrics (/livez, /readyz, /metrics) on --ops. On loopback the service
runs without TLS. Beyond loopback it needs --tls-cert and --tls-key, for both, or --plaintext where something else encrypts.
Asterisk asks over FastAGI on --agi, which knows neither passwords nor TLS: beyond loopback it needs --plaintext, and
--agi-from with the networks that may connect.
Certificate, key and law files are read again when they change, the law file also on SIGHUP; where a changed file is
wrong, what was in force stays so, and the log and belpoort_file_reloads_total say why.

The service stops on SIGTERM or SIGINT: health turns red, requests under way are finished (10 seconds at most), and
decisions on their way to the ledger are shipped.`,
		Example: `  belpoort serve
  belpoort serve --data /var/lib/belpoort --grpc 0.0.0.0:2357 --tls-cert cert.pem --tls-key key.pem
  belpoort serve --ledger postgres://belpoort@db/belpoort --redis redis://cache:6379 --data /var/lib/belpoort`,
	}
	f := cmd.Flags()
	f.String("grpc", "127.0.0.1:2357", "address for gRPC")
	f.String("http", "127.0.0.1:2358", "address for the doors over HTTP; empty for none")
	f.String("form-names", "", "YAML file with more names for the fields of forms, such as \"callee: [klantnummer]\"")
	f.String("ops", "127.0.0.1:2359", "address for health and metrics")
	f.String("agi", "", "address for FastAGI, such as 127.0.0.1:4573 (default: not served)")
	f.StringSlice("agi-from", nil, "networks of exchanges that may use FastAGI beyond loopback, such as 192.0.2.0/24")
	f.String("tls-cert", "", "PEM file with the certificate chain")
	f.String("tls-key", "", "PEM file with the certificate's key")
	f.String("tls-client-ca", "", "PEM file with the authorities that sign clients' certificates; then every client needs one")
	f.Bool("plaintext", false, "allow addresses beyond loopback without TLS")
	f.String("api-keys", "", "YAML file with the API keys' hashes (default: keys/api-keys.yaml in the data folder)")
	lawFlag(cmd)
	f.String("ledger", "", "URL of a PostgreSQL ledger that several nodes share, postgres://... (default: SQLite in the data folder)")
	f.String("redis", "", "URL of the Redis that several nodes share as their cache; needs --ledger (default: a cache in this process)")
	f.String("node-name", "", "name of this node in logs and in the ledger, where several share it (default: the host's name)")
	f.Duration("allow-window", 2*time.Second, "how long an ALLOW keeps others from calling the same callee; 0 to 10s")
	f.Int("max-checks", 0, "checks under way at once; more are refused at once (default: 64 for each processor)")
	f.Duration("max-check-wait", 25*time.Millisecond, "how long a check may have waited for its turn while most places are taken; 1ms to 1s")
	f.Int("screen-limit", 20_000_000, "numbers that one key may screen in an hour; 0: as many as it likes")
	f.Int("warm-rate", 20_000, "callees a second that are read for the cache ahead of their calls; 1 to 1000000")
	f.Int("cache-mib", 512, "memory for eligibility records, or with --redis for floors, in MiB")
	f.Int("connections", defaultConnections, "connections that gRPC, HTTP and --ops hold at a time, each; beyond it quiet ones make room")
	logFlags(cmd)
	traceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return serve(cmd) }
	return cmd
}

func serve(cmd *cobra.Command) error {
	o, err := serveOptions(cmd)
	if err != nil {
		return usage(err)
	}
	if o.log, err = o.logs.open(cmd); err != nil {
		return exit(exitFailed, err)
	}
	defer func() { _ = o.logs.close() }()
	o.fitConnections()
	defer collectSeldom()()
	n, err := startNode(cmd.Context(), o)
	if err != nil {
		return exit(exitFailed, err)
	}
	o.log.Info("serving", zap.Stringer("grpc", n.addr()), zap.String("http", n.doors.address()), zap.String("agi", n.exchange.serving), zap.Stringer("ops", n.opsAddr()), zap.String("data", string(o.data)),
		zap.Bool("tls", o.certificate != ""), zap.String("version", version))
	if o.certificate == "" {
		o.log.Info("TLS is off: numbers and keys travel in the clear between client and service")
	}
	err = errors.Join(n.wait(cmd.Context()), n.stop())
	if err != nil {
		return exit(exitFailed, err)
	}
	o.log.Info("stopped")
	return nil
}

// maxChecks bounds --max-checks: each check under way takes some memory.
const maxChecks = 100_000

func serveOptions(cmd *cobra.Command) (nodeOptions, error) {
	f := flags{cmd.Flags()}
	o := nodeOptions{
		data: folder(f.text("data")), grpc: f.text("grpc"), http: f.text("http"), formNames: f.text("form-names"), ops: f.text("ops"), certificate: f.text("tls-cert"),
		key: f.text("tls-key"), clients: f.text("tls-client-ca"), plaintext: f.flag("plaintext"), keys: f.text("api-keys"), law: f.text("law"),
		cacheBytes: int64(f.number("cache-mib")) << 20, ledger: f.text("ledger"), redis: f.text("redis"), name: f.text("node-name"),
		allowWindow: f.duration("allow-window"), checks: f.number("max-checks"), patience: f.duration("max-check-wait"), screenLimit: f.number("screen-limit"), warmRate: f.number("warm-rate"),
	}
	var err error
	if o.exchange, err = exchangeOptions(f); err != nil {
		return o, err
	}
	if o.redis != "" && o.ledger == "" {
		return o, errors.New("--redis needs --ledger: one node on its own keeps its cache in its memory")
	}
	if o.allowWindow < 0 || o.allowWindow > 10*time.Second {
		return o, fmt.Errorf("--allow-window %v: want 0 to 10s", o.allowWindow)
	}
	if o.checks < 0 || o.checks > maxChecks {
		return o, fmt.Errorf("--max-checks %d: want 1 to %d, or 0 for 64 for each processor", o.checks, maxChecks)
	}
	if o.patience < time.Millisecond || o.patience > time.Second {
		return o, fmt.Errorf("--max-check-wait %v: want 1ms to 1s", o.patience)
	}
	if o.screenLimit < 0 {
		return o, fmt.Errorf("--screen-limit %d: want 0 or more", o.screenLimit)
	}
	if o.warmRate < 1 || o.warmRate > 1_000_000 {
		return o, fmt.Errorf("--warm-rate %d: want 1 to 1000000", o.warmRate)
	}
	if (o.certificate == "") != (o.key == "") {
		return o, errors.New("--tls-cert and --tls-key belong together")
	}
	if o.clients != "" && o.certificate == "" {
		return o, errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	}
	if mib := f.number("cache-mib"); mib < 8 || mib > 1<<20 {
		return o, fmt.Errorf("--cache-mib %d: want 8 to %d", mib, 1<<20)
	}
	if o.connections = f.number("connections"); o.connections < 16 || o.connections > 1<<20 {
		return o, fmt.Errorf("--connections %d: want 16 to %d", o.connections, 1<<20)
	}
	if o.formNames != "" && o.http == "" {
		return o, errors.New("--form-names needs --http")
	}
	if o.traces, err = traceOptions(f); err != nil {
		return o, err
	}
	o.logs, err = logOptions(f)
	return o, err
}
