package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/disktest"
)

// childAppends appends from eight callers until it is killed, and says what was acknowledged, one line a record.
func childAppends() error {
	j, err := Open(os.Getenv("JOURNAL_TEST_DIR"), Options{SegmentBytes: 192 << 10})
	if err != nil {
		return err
	}
	cycle := os.Getenv("JOURNAL_TEST_CYCLE")
	var wg sync.WaitGroup
	for appender := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				payload := fmt.Sprintf("%s/%d/%d%s", cycle, appender, i, strings.Repeat(".", i%700))
				seq, err := j.Append(context.Background(), []byte(payload))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Stdout.WriteString(fmt.Sprintf("%d %s\n", seq, payload))
			}
		})
	}
	wg.Wait()
	return nil
}

func child(t *testing.T, job, dir string) *exec.Cmd {
	cmd := exec.CommandContext(bounded(t), os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_CHILD="+job, "JOURNAL_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestT16Kill9Journal kills a process that appends, fifty times in one directory: every acknowledged record is there,
// under its number and once.
func TestT16Kill9Journal(t *testing.T) {
	r := seeded(t)
	var dir string
	acked, total := map[uint64]string{}, 0
	for cycle := range rounds(t, 50, 5_000) {
		if cycle%50 == 0 { // each cycle reads all that is there
			dir, total = t.TempDir(), total+len(acked)
			clear(acked)
		}
		appendAndKill(t, dir, cycle, 50+r.IntN(1000), acked)
		first, payloads := contentsOf(t, dir)
		seen := make(map[string]bool, len(payloads))
		for _, payload := range payloads {
			if seen[string(payload)] {
				t.Fatalf("cycle %d: %s is there twice", cycle, payload)
			}
			seen[string(payload)] = true
		}
		for seq, payload := range acked {
			if at := seq - first; at >= uint64(len(payloads)) || string(payloads[at]) != payload {
				t.Fatalf("cycle %d: acknowledged record %d is gone or another", cycle, seq)
			}
		}
	}
	t.Logf("%d records acknowledged", total+len(acked))
}

func appendAndKill(t *testing.T, dir string, cycle, lines int, acked map[uint64]string) {
	t.Helper()
	cmd := child(t, "append", dir)
	cmd.Env = append(cmd.Env, "JOURNAL_TEST_CYCLE="+strconv.Itoa(cycle))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	for n := 0; ; n++ {
		if n == lines {
			_ = cmd.Process.Kill()
		}
		line, err := said.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a line cut short was not said
		}
		seq, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		number, bad := strconv.ParseUint(seq, 10, 64)
		if err != nil || bad != nil {
			t.Fatalf("%q: %v, %v", line, err, bad)
		}
		if acked[number] != "" {
			t.Fatalf("record %d was acknowledged twice", number)
		}
		acked[number] = payload
	}
	_ = cmd.Wait()
}

// TestT19DiskFull fills a file system of its own, where the kernel lets a process have one.
func TestT19DiskFull(t *testing.T) {
	cmd := child(t, "fill", t.TempDir())
	var said bytes.Buffer
	cmd.Stdout = &said
	cmd.SysProcAttr = ownMounts()
	if cmd.SysProcAttr == nil {
		disktest.NotRun(t, "no mount namespaces on this system")
	}
	if err := cmd.Start(); err != nil {
		disktest.NotRun(t, fmt.Sprint("the kernel gives no mount namespace: ", err))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	t.Log(strings.TrimSpace(said.String()))
}

// fillUp appends to a small file system until it is full, makes space, and appends again.
func fillUp(dir, ballast string) error {
	j, err := Open(dir, Options{SegmentBytes: 192 << 10})
	if err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("x"), 5000)
	acked := uint64(0)
	for {
		seq, err := j.Append(context.Background(), payload)
		if err != nil {
			if !errors.Is(err, ErrDiskFull) || !isDiskFull(err) || j.Err() != nil {
				return fmt.Errorf("after record %d: %w (journal: %w)", acked, err, j.Err())
			}
			break
		}
		acked = seq
	}
	full := acked
	if err := os.Remove(ballast); err != nil {
		return err
	}
	for acked == full {
		if seq, err := j.Append(context.Background(), payload); err == nil {
			acked = seq
		} else if !errors.Is(err, ErrDiskFull) {
			return err
		}
	}
	if err := j.Close(); err != nil {
		return err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return err
	}
	v, err := survey(d)
	if err != nil || v.next != acked+1 || acked != full+1 {
		return fmt.Errorf("full at %d, acknowledged %d, next is %d: %w", full, acked, v.next, err)
	}
	fmt.Printf("full after %d records, %d after space was made\n", full, acked)
	return nil
}
