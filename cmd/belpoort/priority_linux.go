package main

import (
	"os"
	"strconv"
	"syscall"
)

// politeness is the nice value of what may take longer: it gets the processors that others leave.
const politeness = 19

// giveWay lowers this process's priority. Where that fails, it does its work all the same.
func giveWay() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, thread := range threads { // the kernel knows priorities of threads only; new ones take after those that begin them
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			lowerPriority(id)
		}
	}
}

func lowerPriority(thread int) {
	const none = 20 // what the kernel answers for nice 0
	if was, err := syscall.Getpriority(syscall.PRIO_PROCESS, thread); err == nil && none-was < politeness {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, politeness)
	}
}
