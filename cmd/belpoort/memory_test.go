package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// heapGoal is the size of the heap at which the runtime will collect next.
func heapGoal() uint64 {
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}

// A small service collects seldom, unless its operator has said how often.
func TestASmallServiceCollectsSeldom(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Setenv(name, "")
	}
	before := heapGoal()
	end := collectSeldom()
	with := heapGoal()
	end()
	if with < before+ballastBytes {
		t.Errorf("collects at %d MiB, and without ballast at %d", with>>20, before>>20)
	}
	t.Setenv("GOGC", "100")
	end = collectSeldom()
	obeyed := heapGoal()
	end()
	if obeyed >= before+ballastBytes {
		t.Errorf("collects at %d MiB although the operator set GOGC", obeyed>>20)
	}
}
