// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// limitMemory makes the system refuse the process more memory than this; Go's runtime then
// ends the process.
func limitMemory(bytes uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: bytes, Max: bytes})
}

// memoryPeak is the peak of the process's resident memory, in bytes.
func memoryPeak() uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	kib, _ := strconv.ParseUint(words[0], 10, 64)
	return kib << 10
}
