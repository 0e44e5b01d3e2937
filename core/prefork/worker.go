// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func run(ctx context.Context, opts Opts, work func(ctx context.Context, w *Worker) error) error {
	if inherited != nil {
		return inherited.work(ctx, opts, work)
	}
	return supervise(ctx, opts)
}

// work is Run in a worker.
func (in *inheritance) work(ctx context.Context, opts Opts, work func(ctx context.Context, w *Worker) error) error {
	if os.Getppid() != in.Parent {
		return errors.New("prefork: the parent ended before this worker began")
	}
	listeners, err := in.listeners()
	if err != nil {
		return err
	}
	w := newWorker(in.Number, listeners, func() { in.tell(saysReady) })
	workCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	end := sync.OnceFunc(func() {
		go func() {
			w.stopAccepting()
			cancel()
		}()
	})
	defer context.AfterFunc(ctx, end)()
	defer notify(end)()
	alone := make(chan struct{})
	defer close(alone)
	go func() {
		_, _ = io.Copy(io.Discard, in.socket) // returns when the parent ends, even by a kill -9
		end()
		select {
		case <-alone:
		case <-time.After(opts.DrainTimeout):
			opts.Logger.Error("prefork: the parent has ended, and this worker is not done after the drain timeout: it ends at once", "worker", in.Number)
			os.Exit(1)
		}
	}()
	err = work(workCtx, w)
	if err != nil {
		if text, err := json.Marshal(fmt.Sprintf("%.4000s", err)); err == nil {
			in.tell(saysFailed, string(text))
		}
	}
	return err
}

// notify calls end at SIGTERM and at SIGINT. After the first SIGINT, the next one ends the worker
// at once. SIGHUP does nothing: a terminal that closes sends one to all processes, and it is
// for the parent. It returns a function that ends the waiting.
func notify(end func()) (stop func()) {
	// A channel for each: one that is full of hangups would drop a SIGTERM.
	terms, interrupts, hangups := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	signal.Notify(interrupts, os.Interrupt)
	signal.Notify(hangups, syscall.SIGHUP) // nobody receives
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-terms:
				end()
			case <-interrupts:
				signal.Stop(interrupts)
				end()
			case <-done:
				return
			}
		}
	}()
	return func() {
		for _, c := range []chan os.Signal{terms, interrupts, hangups} {
			signal.Stop(c)
		}
		close(done)
	}
}
