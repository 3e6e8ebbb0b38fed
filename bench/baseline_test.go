package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// startBaseline serves a baseline as the child process would, and stops it as the end of its parent would.
func startBaseline(t *testing.T, spec BaselineSpec) (address string, stop func() error) {
	t.Helper()
	in, told := io.Pipe()
	out, says := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := ServeBaseline(context.Background(), in, says)
		says.CloseWithError(io.EOF)
		ended <- err
	}()
	line, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := told.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(<-ended)
	}
	return strings.TrimSpace(address), func() error {
		told.Close()
		return <-ended
	}
}

func measureBaseline(t *testing.T, spec BaselineSpec) Cell {
	t.Helper()
	address, stop := startBaseline(t, spec)
	plan := Plan{Loads: []Load{{Callers: 8}}, Connections: 2, Rounds: 2, Duration: 100 * time.Millisecond, Timeout: 10 * time.Second}
	cells, err := Run(t.Context(), plan, []Contestant{BaselineContestant(spec.Kind, dial(t, address, 2), spec.Sizes, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if c := cells[0]; c.Calls == 0 || c.Errors != 0 || !c.Baseline {
		t.Errorf("%d calls, %d errors: %v", c.Calls, c.Errors, c.Failures)
	}
	return cells[0]
}

func TestBaselines(t *testing.T) {
	folder := t.TempDir()
	for _, kind := range []string{Echo, EchoSync} {
		t.Run(kind, func(t *testing.T) { measureBaseline(t, BaselineSpec{Kind: kind, Sizes: someSizes, Folder: folder}) })
	}
	written, err := os.ReadFile(folder + "/baseline.log")
	if err != nil || len(written) != groupLogSize || written[0] == 0 || written[someSizes.Decision-1] == 0 {
		t.Errorf("%d bytes were written: %v", len(written), err)
	}
}

func TestEchoGet(t *testing.T) {
	address := startRedis(t)
	measureBaseline(t, BaselineSpec{Kind: EchoGet, Sizes: someSizes, Redis: "redis://" + address})
	length, err := exec.Command("redis-cli", "-u", "redis://"+address, "strlen", fmt.Sprintf("belpoort-bench:%016x", scramble(0))).Output()
	want := strconv.Itoa(len(messageOf(someSizes.Record).GetValue()))
	if got := strings.TrimSpace(string(length)); err != nil || got != want {
		t.Errorf("a record is %s bytes, want %s: %v", got, want, err)
	}
}

func startRedis(t *testing.T) (address string) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("there is no redis-server (scripts/test-setup.sh installs it)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 500 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server did not start")
	return ""
}

func TestABaselineRefusesABadSpecification(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"", "specification"},
		{"{\n", "specification"},
		{`{"kind":"echo"}` + "\n", "sizes."},
		{`{"kind":"shout","sizes":{"request":1,"answer":1,"decision":1,"record":1}}` + "\n", "no such baseline"},
		{`{"kind":"echo+fdatasync","folder":"/nonexistent","sizes":{"request":1,"answer":1,"decision":1,"record":1}}` + "\n", "/nonexistent"},
		{`{"kind":"echo+get","redis":"gopher://x","sizes":{"request":1,"answer":1,"decision":1,"record":1}}` + "\n", "scheme"},
		{`{"kind":"echo","sizes":{"request":1,"answer":999999,"decision":1,"record":1}}` + "\n", "sizes.answer"},
	} {
		if err := ServeBaseline(t.Context(), strings.NewReader(c.line), io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.line, err)
		}
	}
}

func TestMessagesAreAsLargeAsAsked(t *testing.T) {
	for size := 3; size < 20_000; size++ {
		// One size in two powers of 128 cannot be: a longer payload would need a longer length.
		if got := proto.Size(messageOf(size)); got != size && (got != size-1 || proto.Size(messageOf(size+1)) != size+1) {
			t.Fatalf("a message of %d bytes has %d", size, got)
		}
	}
}

// The answer waits for the sync: where that fails, so does the answer.
func TestTheGroupLogAnswersAfterTheSync(t *testing.T) {
	log, err := openGroupLog(t.TempDir(), 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 100 { // more than the file holds: it begins anew
				if err := log.append(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	log.file.Close()
	if err := log.append(); err == nil {
		t.Error("answered, though nothing could be written")
	}
	_ = log.close()
}
