// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package prefork

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func isWorker() bool { return false }

// run serves in this process: there is no way to hand a listener down and to tell a worker to
// drain.
func run(ctx context.Context, opts Opts, work func(ctx context.Context, w *Worker) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	listeners, err := opts.listen(ctx)
	if err != nil {
		return err
	}
	opts.Logger.Info("prefork: this system has no workers: this process serves alone")
	err = work(ctx, newWorker(0, append(listeners[:0:0], listeners...), func() {}))
	_ = closeAll(listeners) // servers have closed them, as a rule
	return err
}
