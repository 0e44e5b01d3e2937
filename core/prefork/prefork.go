// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Defaults of [Opts].
const (
	DefDrainTimeout = 30 * time.Second
	DefReadyTimeout = time.Minute
)

// Opts are the settings of [Run]. All may be left out.
type Opts struct {
	// Addr is where the parent listens, for all workers. Defaults to none: the workers then
	// have the listeners of Listen, or open their own (with SO_REUSEPORT, say).
	Addr string
	// Network is that of Addr, such as "unix". Defaults to "tcp".
	Network string
	// Listen opens further listeners: one for metrics alone, or one that systemd opened. Only
	// the parent calls it. They must be of type *net.TCPListener or *net.UnixListener: TLS
	// is up to the workers. Defaults to none.
	Listen func() ([]net.Listener, error)

	// Workers is the number of workers. Defaults to runtime.GOMAXPROCS(0).
	Workers int
	// DrainTimeout is how long a worker may go on after it was told to end. Then it is
	// killed. Defaults to 30 s, which is more than the 25 s that httpmetrics.Serve takes.
	DrainTimeout time.Duration
	// ReadyTimeout is how long a roll waits until a new worker is ready. Defaults to 1 min.
	ReadyTimeout time.Duration

	// Logger takes what happens to workers: each start, each end, each roll. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// Worker is what a worker got from its parent.
type Worker struct {
	// Number of the worker, from 0 to Opts.Workers-1. The successor of a worker has its
	// number. Numbers are of one parent: in two pods there are two workers 0.
	Number int
	// Listener is the first of Listeners; nil if there is none. The first call of its Accept
	// tells the parent that the worker is ready.
	Listener net.Listener
	// Listeners are that of Opts.Addr, then those of Opts.Listen. A worker closes them when
	// it drains, as servers do; the parent's copies stay open, so that connections wait there for
	// other workers.
	Listeners []net.Listener

	ready func()
}

// Ready tells the parent that the worker serves. A worker calls it if it does not accept on
// its Listener. Further calls do nothing.
func (w *Worker) Ready() { w.ready() }

// Run starts workers and keeps them running until it is told to end. The program's main calls it,
// in the parent and in the workers alike, as early as it can: a worker is the same program with
// the same arguments. In a worker, Run calls work and returns its error. In the parent it returns
// when all workers have ended: nil if that was orderly. See the package's description for
// signals, and for what happens when a worker ends or the parent does.
//
// The context of work is done when the worker is to end. Then it should let requests end, close its
// registry and return, as the Run functions of shoal's middlewares do.
//
// Where there are no Unix signals, as on Windows, Run opens the listeners and calls work
// in this process.
func Run(ctx context.Context, opts Opts, work func(ctx context.Context, w *Worker) error) error {
	if work == nil {
		panic("prefork: Run needs a function that serves")
	}
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	return run(ctx, opts, work)
}

// IsWorker says whether this process is a worker. It is for what only the parent does before
// Run, such as starting an embedded Redis and putting its URL into the environment, which the
// workers inherit.
func IsWorker() bool { return isWorker() }

func (o Opts) complete() (Opts, error) {
	for name, value := range map[string]int64{
		"Workers": int64(o.Workers), "DrainTimeout": int64(o.DrainTimeout), "ReadyTimeout": int64(o.ReadyTimeout),
	} {
		if value < 0 {
			return o, fmt.Errorf("prefork: Opts.%s is negative: use 0 for the default", name)
		}
	}
	o.Network = cmp.Or(o.Network, "tcp")
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	o.DrainTimeout = cmp.Or(o.DrainTimeout, DefDrainTimeout)
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, DefReadyTimeout)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o, nil
}

// listen opens all listeners.
func (o Opts) listen(ctx context.Context) (all []net.Listener, err error) {
	if o.Addr != "" {
		var config net.ListenConfig
		l, err := config.Listen(context.WithoutCancel(ctx), o.Network, o.Addr)
		if err != nil {
			return nil, fmt.Errorf("prefork: %w", err)
		}
		all = append(all, l)
	}
	if o.Listen != nil {
		further, err := o.Listen()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prefork: %w", err), closeAll(all))
		}
		if slices.Contains(further, nil) {
			further = slices.DeleteFunc(further, func(l net.Listener) bool { return l == nil })
			err := errors.New("prefork: Opts.Listen returned a listener that is nil: leave it out, or return why it could not be opened")
			return nil, errors.Join(err, closeAll(all), closeAll(further))
		}
		all = append(all, further...)
	}
	return all, nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// newWorker makes a worker that calls ready when it is ready.
func newWorker(number int, listeners []net.Listener, ready func()) *Worker {
	w := &Worker{Number: number, Listeners: listeners, ready: sync.OnceFunc(ready)}
	for i, l := range listeners {
		notice := func() {}
		if i == 0 {
			notice = w.ready
		}
		listeners[i] = gated(l, &gate{accepting: notice, stopped: make(chan struct{}), closed: make(chan struct{})})
	}
	if len(listeners) > 0 {
		w.Listener = listeners[0]
	}
	return w
}
