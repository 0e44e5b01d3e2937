// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
)

// start runs the four processes until ctx is done, and shows what they count. If one of them fails,
// all end; if one is killed, the others go on.
func start(ctx context.Context, shops, payments []string, redis string) error {
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis() // last, since the processes send their last counts at their end
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	addrs := slices.Concat(shops, payments)
	ended := make(chan error)
	for i, addr := range addrs {
		app := "shop"
		if i >= len(shops) {
			app = "payments"
		}
		cmd := exec.CommandContext(ctx, self, "-run", app, "-addr", addr)
		cmd.Env = append(anyredis.Environment(redis), "OTEL_SERVICE_NAME="+app) // not an argument, which everybody can read
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 30 * time.Second
		go func() { ended <- runProcess(ctx, cmd, app, addr) }()
	}
	go demonstrate(ctx, shops, payments)
	var errs []error
	for range addrs {
		if err := <-ended; err != nil {
			errs = append(errs, err)
			cancel()
		}
	}
	return errors.Join(errs...)
}

// runProcess returns an error if the process fails, and nil if it ended because of ctx or was
// killed.
func runProcess(ctx context.Context, cmd *exec.Cmd, app, addr string) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	log.Printf("process %d: %s on http://%s", cmd.Process.Pid, app, addr)
	err := cmd.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == -1 && ctx.Err() == nil {
		log.Printf("process %d: %v; the others go on", cmd.Process.Pid, err)
		return nil
	}
	return fmt.Errorf("%s on %s: %w", app, addr, err)
}
