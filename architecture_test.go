// Package belpoort_test holds the walls of the house: which room may import which, and why.
// It reads every Go file of the module, whatever its build tags, and must not know what the rooms do.
package belpoort_test

import (
	"os"
	"regexp"
	"testing"
)

// A room is one folder with Go files; paths are relative to the module's root.
type room struct {
	path      string
	imports   []string // rooms it may import
	inTests   []string // rooms its tests may import besides
	libraries []string // third-party import paths, or their beginnings; tests are free
	pure      bool     // no import or call listed in impureImports and impureTime
	because   string
}

var rooms = []room{
	{
		path:    "proto/belpoort/v1",
		because: "the words on the wire are generated, and everybody may read them",
		libraries: []string{
			"google.golang.org/protobuf", "google.golang.org/grpc",
		},
	},
	{
		path:    "eligibility",
		inTests: []string{"eligibility/law", "callerid"},
		pure:    true,
		because: "the law is a pure function of facts and an instant, so that a decision can be replayed years later",
	},
	{
		path:      "eligibility/law",
		imports:   []string{"eligibility"},
		libraries: []string{"go.yaml.in/yaml/v3"},
		pure:      true,
		because:   "the regimes are dated data embedded in the binary; decoding them needs YAML and nothing of the machine",
	},
	{
		path:      "telephony",
		libraries: []string{"github.com/nyaruka/phonenumbers"},
		because:   "a number's one canonical form must not depend on who asks",
	},
	{
		path:    "callerid",
		imports: []string{"eligibility"},
		because: "an immutable register judged by the law's words; who fills it is not its business",
	},
	{
		path:    "keyring",
		imports: []string{"telephony", "eligibility"},
		because: "it turns canonical numbers into callee tokens and seals them, and stores nothing else",
	},
	{
		path:      "ledger",
		imports:   []string{"eligibility"},
		inTests:   []string{"disktest", "ledger/ledgertest", "rig"},
		libraries: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3", "modernc.org/sqlite"},
		because:   "the durable record must outlive the wire format, the cache and the doors",
	},
	{
		path:    "ledger/ledgertest",
		imports: []string{"eligibility", "ledger"},
		because: "one suite holds every ledger to the same contract, and cannot see which one it has before it",
	},
	{
		path:    "journal",
		imports: []string{"eligibility"},
		inTests: []string{"disktest"},
		because: "it must work when everything else is down, so it needs files and the law's words only",
	},
	{
		path:      "cache",
		imports:   []string{"eligibility"},
		inTests:   []string{"rig"},
		libraries: []string{"github.com/redis/go-redis/v9"},
		because:   "an untrusted speed layer that never sees the ledger, so it cannot become a second truth",
	},
	{
		path:      "permit",
		imports:   []string{"eligibility"},
		libraries: []string{"github.com/golang-jwt/jwt/v5"},
		because:   "permits are checked by others too, so signing them rests on one file of keys and a standard format only",
	},
	{
		path:      "fence",
		imports:   []string{"eligibility"},
		libraries: []string{"golang.org/x/sys/unix"},
		because:   "floors and the lease rest on positions and one clock; the ledger comes to it by a small interface",
	},
	{
		path:    "debt",
		imports: []string{"eligibility"},
		pure:    true,
		because: "the figures that stop a campaign must be the same on every node and after every restart, so they are counted from what the ledger holds and nothing else",
	},
	{
		path:      "disktest",
		libraries: []string{"github.com/hanwen/go-fuse/v2"},
		because:   "tests lose power and fsyncs on its disks; it knows files, and no room that writes them",
	},
	{
		path:      "rig",
		libraries: []string{"github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9"},
		because:   "tests start real servers with it; it knows no room, so that every room's tests may use it",
	},
	{
		path:      "record",
		imports:   []string{"proto/belpoort/v1", "eligibility", "telephony"},
		libraries: []string{"google.golang.org/protobuf"},
		because:   "it translates between the words on the wire and the law's facts, in this one place",
	},
	{
		path:      "scenario",
		imports:   []string{"eligibility", "eligibility/law", "telephony", "callerid"},
		libraries: []string{"go.yaml.in/yaml/v3"},
		because:   "the law as cases: it judges with the law itself and needs no store, door or clock",
	},
	{
		path:    "loader",
		imports: []string{"ledger", "cache", "callerid", "eligibility", "telephony", "proto/belpoort/v1", "record"},
		inTests: []string{"rig"},
		libraries: []string{
			"github.com/jackc/pgx/v5", "github.com/klauspost/compress/zstd", "github.com/parquet-go/parquet-go", "go.yaml.in/yaml/v3",
			"golang.org/x/text", "google.golang.org/protobuf",
		},
		because: "files, and rows of a CRM's own PostgreSQL, become facts; it serves nobody",
	},
	{
		path:      "ops",
		libraries: []string{"github.com/HdrHistogram/hdrhistogram-go", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel", "gopkg.in/natefinch/lumberjack.v2"},
		because:   "metrics, health and pages are told what to show, so they can watch any room",
	},
	{
		path:    "proof",
		imports: []string{"eligibility", "ledger", "proto/belpoort/v1", "record"},
		because: "it judges what was allowed from the ledger alone, and shares nothing with what answered",
	},
	{
		path:      "console",
		imports:   []string{"ops", "proto/belpoort/v1"},
		libraries: []string{"google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc", "google.golang.org/protobuf"},
		because:   "the operators' page looks at figures, and looks numbers up as anybody with a key would",
	},
	{
		path:    "server",
		imports: []string{"proto/belpoort/v1", "record", "eligibility", "callerid", "telephony", "keyring", "ops", "debt"},
		inTests: []string{"ledger", "journal", "cache", "eligibility/law", "permit", "scenario"},
		libraries: []string{
			"github.com/sony/gobreaker/v2", "go.uber.org/zap", "go.yaml.in/yaml/v3", "golang.org/x/sync", "google.golang.org/genproto/googleapis/rpc",
			"google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "the doors declare the small interfaces they need; the stores behind them are chosen in cmd",
	},
	{
		path:      "client",
		imports:   []string{"proto/belpoort/v1"},
		libraries: []string{"google.golang.org/grpc", "google.golang.org/protobuf"},
		because:   "dialers compile it into themselves, so it brings the API and nothing of the service",
	},
	{
		path:    "doors",
		imports: []string{"proto/belpoort/v1"},
		libraries: []string{
			"google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "what is not gRPC asks as a client does, so that no door can decide, or skip what all requests meet",
	},
	{
		path:    "doors/gateway/belpoort/v1",
		imports: []string{"proto/belpoort/v1"},
		libraries: []string{
			"github.com/grpc-ecosystem/grpc-gateway/v2", "google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "generated, and apart from the API, so that clients in Go need no library for HTTP",
	},
	{
		path:    "doors/web",
		imports: []string{"doors", "doors/gateway/belpoort/v1", "proto/belpoort/v1"},
		libraries: []string{
			"github.com/grpc-ecosystem/grpc-gateway/v2", "go.uber.org/zap", "google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "HTTP in, gRPC out: it speaks to the service over a connection, and sees nothing of it",
	},
	{
		path:      "doors/agi",
		imports:   []string{"doors"},
		libraries: []string{"go.uber.org/zap"},
		because:   "it holds a conversation with a telephone exchange; what is asked and answered in it is the doors' business",
	},
	{
		path: "cmd/belpoort",
		imports: []string{
			"bench", "cache", "callerid", "console", "doors", "doors/agi", "doors/web", "eligibility", "eligibility/law", "examples", "fence", "journal", "keyring", "ledger", "loader",
			"ops", "permit", "proof", "proto/belpoort/v1", "record", "scenario", "server", "telephony",
		},
		inTests: []string{"client", "disktest", "rig"},
		libraries: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/vbauerster/mpb/v8", "go.uber.org/zap", "go.yaml.in/yaml/v3",
			"google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "one place wires all rooms",
	},
	{
		path:    "bench",
		imports: []string{"proto/belpoort/v1"},
		inTests: []string{"telephony"},
		libraries: []string{
			"github.com/HdrHistogram/hdrhistogram-go", "github.com/redis/go-redis/v9", "golang.org/x/sys",
			"google.golang.org/grpc", "google.golang.org/protobuf",
		},
		because: "it measures the service from outside, as a client does, beside bare servers that share none of its code",
	},
	{
		path:    "examples",
		inTests: []string{"eligibility", "eligibility/law", "loader", "proto/belpoort/v1", "record", "scenario"},
		because: "sample files know how call centres write, not how we read",
	},
	{
		path:    "docs",
		inTests: []string{"callerid", "doors", "eligibility", "eligibility/law", "loader", "scenario"},
		because: "pages are held to what the rooms say in public and to what the binary does",
	},
	{
		path:    "deploy",
		inTests: []string{"rig"},
		because: "it packs the binary as a user would, from outside",
	},
	{
		path:      "deploy/helm/manifests",
		libraries: []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/yaml"},
		because:   "a module of its own, so that Kubernetes judges what the chart renders and is no part of the product",
	},
	{
		path:    ".",
		because: "this test reads the house and is no part of it",
	},
}

// impureImports are what a pure room may not import, with everything below it.
var impureImports = map[string]string{
	"context":      "the law has nobody to wait for",
	"crypto/rand":  "the same facts must give the same decision",
	"database/sql": "facts are handed in, not fetched",
	"log":          "a decision tells its reasons in its result",
	"math/rand":    "the same facts must give the same decision",
	"net":          "facts are handed in, not fetched",
	"os":           "the machine it runs on must not change the law",
	"syscall":      "the machine it runs on must not change the law",
	"unsafe":       "a wrong answer must not come from memory tricks",
}

// impureTime are the names of package time that read the machine's clock, wait for it, or depend on its zone.
var impureTime = map[string]bool{
	"After": true, "AfterFunc": true, "Local": true, "NewTicker": true, "NewTimer": true, "Now": true,
	"Since": true, "Sleep": true, "Tick": true, "Until": true,
}

func TestRoomsKeepTheirWalls(t *testing.T) {
	files, err := readHouse(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range complaints(modulePath(t, "go.mod"), rooms, files) {
		t.Error(complaint)
	}
}

func modulePath(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s names no module", file)
	}
	return string(found[1])
}
