// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestRun_HangupsHideNoSIGTERM sends a worker a SIGTERM amid many of the SIGHUPs that it does not heed.
func TestRun_HangupsHideNoSIGTERM(t *testing.T) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGTERM) // for good: one may come late
	for range 200 {
		ended := make(chan struct{})
		stop := notify(sync.OnceFunc(func() { close(ended) }))
		for range 50 {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
		}
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
		for range 50 {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
		}
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("the worker did not hear SIGTERM")
		}
		stop()
		if t.Failed() {
			return
		}
	}
}
