// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

const (
	// DefaultDrainTimeout is how long Serve waits for requests that are being
	// served. With DefaultCloseTimeout it stays below the 30 s that Kubernetes
	// gives a pod by default.
	DefaultDrainTimeout = 20 * time.Second
	// DefaultCloseTimeout is how long Serve waits for the registry to bring
	// its last counts to Redis.
	DefaultCloseTimeout = 5 * time.Second
)

// Serve listens on the servers' addresses and serves until ctx is done or a
// server fails. Then it stops accepting, waits until the requests being served
// have their answers, up to [DefaultDrainTimeout], and only then closes the
// registry, up to [DefaultCloseTimeout], so that those requests are counted as
// well. It closes the registry in any case, also when it could not listen.
//
// A server with an empty Addr listens on ":http", or ":https" if it has a
// TLSConfig, whose certificates are then used. If one server ends, all end.
//
// It returns nil after an orderly shutdown, otherwise all errors joined: of
// listening, of servers that failed, requests that were cut off, and counts
// that the registry could not deliver. Connections that handlers took over are
// not waited for; net/http does not know them any more.
func Serve(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	return Graceful{}.Serve(ctx, reg, servers...)
}

// Graceful is [Serve] with other timeouts. The zero value has the defaults.
type Graceful struct {
	// DrainTimeout is how long requests that are being served may take once
	// shutdown began; then their connections are closed. Defaults to
	// [DefaultDrainTimeout].
	DrainTimeout time.Duration
	// CloseTimeout is how long the registry may take to close after that.
	// Defaults to [DefaultCloseTimeout].
	CloseTimeout time.Duration
}

// Serve is described at the function [Serve].
func (g Graceful) Serve(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	listeners, err := listen(ctx, servers)
	if err != nil {
		return errors.Join(err, g.Shutdown(ctx, reg))
	}
	ended := make(chan error, len(servers)) // one from each: none blocks
	for i, s := range servers {
		carryBase(s)
		go func() { ended <- serveOne(s, listeners[i]) }()
	}
	waiting := len(servers)
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-ended:
		errs = append(errs, err)
		waiting--
	}
	errs = append(errs, g.Shutdown(ctx, reg, servers...))
	for range waiting {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// Shutdown is the second half of Serve, for servers that were started in
// another way: it drains all of them at once, then closes the registry. It
// works with a ctx that is done, whose values alone it uses.
func (g Graceful) Shutdown(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	ctx = context.WithoutCancel(ctx)
	defer markDraining(servers)()
	errs := make([]error, len(servers), len(servers)+1)
	drainCtx, cancel := context.WithTimeout(ctx, orDefault(g.DrainTimeout, DefaultDrainTimeout))
	defer cancel()
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = drain(drainCtx, s) })
	}
	wg.Wait()

	closeCtx, cancel := context.WithTimeout(ctx, orDefault(g.CloseTimeout, DefaultCloseTimeout))
	defer cancel()
	if err := reg.Close(closeCtx); err != nil {
		errs = append(errs, fmt.Errorf("httpmetrics: close the registry: %w", err))
	}
	return errors.Join(errs...)
}

// drain returns when s has no request left, or has cut off those it had.
func drain(ctx context.Context, s *http.Server) error {
	if err := s.Shutdown(ctx); err != nil {
		return fmt.Errorf("httpmetrics: drain the server on %q: %w", s.Addr, errors.Join(err, s.Close()))
	}
	return nil
}

// listen opens all listeners or none.
func listen(ctx context.Context, servers []*http.Server) ([]net.Listener, error) {
	var listeners []net.Listener
	var errs []error
	for _, s := range servers {
		addr := s.Addr
		if addr == "" {
			addr = ":http"
			if s.TLSConfig != nil {
				addr = ":https"
			}
		}
		var config net.ListenConfig
		l, err := config.Listen(context.WithoutCancel(ctx), "tcp", addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("httpmetrics: %w", err))
			continue
		}
		listeners = append(listeners, l)
	}
	if len(errs) == 0 {
		return listeners, nil
	}
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return nil, errors.Join(errs...)
}

// serveOne returns nil if the server was shut down.
func serveOne(s *http.Server, l net.Listener) error {
	serve := s.Serve
	if s.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		// Serve closes the listener; ServeTLS may fail before it does.
		return fmt.Errorf("httpmetrics: serve %s: %w", l.Addr(), errors.Join(err, ignoreClosed(l.Close())))
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func orDefault(d, standard time.Duration) time.Duration {
	if d <= 0 {
		return standard
	}
	return d
}
