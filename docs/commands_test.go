package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The addresses that pages show: the defaults.
const shownGRPC, shownHTTP, shownOps = "127.0.0.1:2357", "127.0.0.1:2358", "127.0.0.1:2359"

const grpcurlVersion = "v1.9.3"

// command is one line that a page tells people to type, and what it says will come.
type command struct {
	place string // page:line
	text  string
	want  []string // parts of the output
	exit  int
}

// console is what a page shows of a terminal: lines "$ command", continued after a backslash; lines of output, each of
// which must be part of what comes; and "# exit N" where it is not 0.
var console = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

func commands(t *testing.T, page string) []command {
	t.Helper()
	text := read(t, page)
	var all []command
	for _, found := range console.FindAllStringSubmatchIndex(text, -1) {
		line := strings.Count(text[:found[2]], "\n")
		var last *command
		continued := false
		for shown := range strings.Lines(text[found[2]:found[3]]) {
			line++
			shown = strings.TrimRight(shown, "\n")
			typed, isCommand := strings.CutPrefix(shown, "$ ")
			exit, isExit := strings.CutPrefix(shown, "# exit ")
			switch {
			case isCommand:
				all = append(all, command{place: fmt.Sprintf("%s:%d", filepath.Base(page), line), text: typed})
				last = &all[len(all)-1]
			case last == nil:
				t.Fatalf("%s:%d: a console begins with a command", page, line)
			case continued:
				last.text += "\n" + shown
			case isExit:
				code, err := strconv.Atoi(exit)
				if err != nil {
					t.Fatalf("%s:%d: %v", page, line, err)
				}
				last.exit = code
			case strings.TrimSpace(shown) != "":
				last.want = append(last.want, strings.TrimSpace(shown))
			}
			continued = (isCommand || continued) && strings.HasSuffix(shown, `\`)
		}
	}
	return all
}

// desk is where a reader sits: a folder with the binary, and a service without data.
type desk struct {
	folder, grpc, http, ops string
	grpcurl                 error // why there is none
	env                     []string
}

func sitDown(t *testing.T) *desk {
	t.Helper()
	d := &desk{folder: t.TempDir(), grpc: freeAddress(t), http: freeAddress(t), ops: freeAddress(t)}
	root, err := filepath.Abs(house)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"eligibility", "examples"} {
		if err := os.Symlink(filepath.Join(root, folder), filepath.Join(d.folder, folder)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(d.folder, "bin", "belpoort"), "./cmd/belpoort")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tools := filepath.Join(root, ".tools", "grpcurl-"+grpcurlVersion)
	d.grpcurl = installGrpcurl(tools)
	d.env = append(os.Environ(), "BELPOORT_ADDRESS="+d.grpc, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	d.serve(t)
	return d
}

// installGrpcurl puts grpcurl in a folder, unless it is there or on the path; the module proxy must be in reach.
func installGrpcurl(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "grpcurl")); err == nil {
		return nil
	}
	if _, err := exec.LookPath("grpcurl"); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "go", "install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@"+grpcurlVersion)
	install.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+folder)
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("grpcurl could not be installed: %w\n%s", err, out)
	}
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (d *desk) serve(t *testing.T) {
	t.Helper()
	service := exec.Command(filepath.Join(d.folder, "bin", "belpoort"), "serve", "--grpc", d.grpc, "--http", d.http, "--ops", d.ops)
	var log bytes.Buffer
	service.Dir, service.Stderr = d.folder, &log
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- service.Wait() }()
	t.Cleanup(func() {
		_ = service.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("serve: %v\n%s", err, &log)
		}
	})
	for deadline := time.Now().Add(time.Minute); !ready(d.ops); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.FailNow()
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the service did not become ready")
		}
	}
}

func ready(address string) bool {
	answer, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode == http.StatusOK
}

// enter runs a command as a reader would.
func (d *desk) enter(t *testing.T, c command) {
	t.Helper()
	if d.grpcurl != nil && strings.HasPrefix(c.text, "grpcurl ") {
		t.Skipf("NOT TRIED: %s\n%v", c.text, d.grpcurl)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text := strings.NewReplacer(shownGRPC, d.grpc, shownHTTP, d.http, shownOps, d.ops).Replace(c.text)
	shell := exec.CommandContext(ctx, "bash", "-c", text)
	shell.Dir, shell.Env, shell.WaitDelay = d.folder, d.env, time.Second
	if strings.HasPrefix(c.text, "bin/belpoort bench ") {
		shell.Env = append(slices.Clone(d.env), "BELPOORT_ADDRESS=") // it starts a service of its own
	}
	out, err := shell.CombinedOutput()
	code := 0
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else if err != nil {
		t.Fatalf("$ %s\n%v", c.text, err)
	}
	if code != c.exit {
		t.Fatalf("$ %s\nexit %d, the page says %d\n%s", c.text, code, c.exit, out)
	}
	for _, part := range c.want {
		if !strings.Contains(string(out), part) {
			t.Errorf("$ %s\nthe page shows %q, but it prints\n%s", c.text, part, out)
		}
	}
}

// TestCommandsDoWhatThePagesSay types every command of every page at one desk, the README's first: a reader begins there.
func TestCommandsDoWhatThePagesSay(t *testing.T) {
	d := sitDown(t)
	typed := 0
	for _, page := range pages(t) {
		for _, c := range commands(t, page) {
			typed++
			t.Run(c.place, func(t *testing.T) { d.enter(t, c) })
		}
	}
	if typed < 25 {
		t.Errorf("%d commands found", typed)
	}
}
