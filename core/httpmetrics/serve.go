// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

const (
	// DefDrainTimeout is how long Serve waits for requests that are being
	// served. With DefCloseTimeout it stays below the 30 s that Kubernetes
	// gives a pod by default.
	DefDrainTimeout = 20 * time.Second
	// DefCloseTimeout is how long Serve waits for the registry to bring
	// its last counts to Redis.
	DefCloseTimeout = 5 * time.Second
)

// Serve listens on the servers' addresses and serves until ctx is done or a
// server fails. Then it stops accepting, waits until the requests being served
// have their answers, up to [DefDrainTimeout], and only then closes the
// registry, up to [DefCloseTimeout], so that those requests are counted as
// well. It closes the registry in any case, also when it could not listen.
//
// A server with an empty Addr listens on ":http", or ":https" if it serves TLS,
// which it does if its TLSConfig has certificates (Certificates, GetCertificate
// or GetConfigForClient). A TLSConfig without one is an error, unless it has only
// what http2.ConfigureServer puts there. For listeners of other kinds there is
// [Graceful.Listeners]. If one server ends, all end.
//
// A server without a ReadHeaderTimeout gets one of 10 s, one without an IdleTimeout
// one of 11 min (load balancers keep connections for up to 10 as a rule), and one without
// HTTP2.WriteByteTimeout one of 30 s. What you set stays: negative values, which mean no
// limit, and a ReadTimeout, which net/http uses in place of the first two.
//
// It returns nil after an orderly shutdown, otherwise all errors joined: of
// listening, of servers that failed, requests that were cut off, and counts
// that the registry could not deliver. It panics if the registry or a server is
// nil.
//
// Serve does not wait for hijacked connections, since net/http does not know them any
// more; their handlers may watch ctx. For HTTP/2 without TLS set http.Server.Protocols:
// such connections are drained like any other. With h2c.NewHandler in its place, Serve
// waits for the recorded requests that were being served when ctx was done, but cannot
// tell the clients to go away, and requests that they begin later may be cut off.
func Serve(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	return Graceful{}.Serve(ctx, reg, servers...)
}

// Graceful is [Serve] with other timeouts and listeners. The zero value has the
// defaults.
type Graceful struct {
	// DrainTimeout is how long requests that are being served may take once
	// shutdown began; then their connections are closed. Defaults to
	// [DefDrainTimeout].
	DrainTimeout time.Duration
	// CloseTimeout is how long the registry may take to close after that.
	// Defaults to [DefCloseTimeout].
	CloseTimeout time.Duration
	// Listeners are the listeners of servers that do not listen on their Addr: a unix
	// socket, one that systemd opened, one with SO_REUSEPORT. Serve closes all of
	// them before it returns, whatever happens. If the listener is one of
	// tls.NewListener, the server's TLSConfig is not used; otherwise it decides on
	// TLS as for an Addr. Defaults to none.
	Listeners map[*http.Server]net.Listener
	// Others are servers of other kinds than net/http's, which begin and end with the
	// servers. Defaults to none.
	Others []Other
}

// part is one of what Serve serves.
type part interface {
	// listen opens the listener, if there is none yet.
	listen(context.Context) error
	// unlisten closes the listener of a part that is not served.
	unlisten() error
	// serve returns nil if the part was shut down.
	serve() error
	// drain returns when the part has no request left, or has cut off those it had.
	drain(context.Context) error
}

// Serve is described at the function [Serve].
func (g Graceful) Serve(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	g.mustBeComplete(reg, servers)
	all, err := g.listen(ctx, servers)
	if err != nil {
		return errors.Join(err, g.shutdown(ctx, reg, nil))
	}
	ended := make(chan error, len(all)) // one from each: none blocks
	for i := range all {
		go func() { ended <- all[i].serve() }()
	}
	waiting := len(all)
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-ended:
		errs = append(errs, err)
		waiting--
	}
	errs = append(errs, g.shutdown(ctx, reg, all))
	for range waiting {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// mustBeComplete panics where the caller forgot something.
func (g Graceful) mustBeComplete(reg *shoal.Registry, servers []*http.Server) {
	if reg == nil {
		panic(errNoRegistry)
	}
	for i, s := range servers {
		if s == nil {
			panic(fmt.Sprintf("httpmetrics: server %d of %d is nil: give Serve servers such as NewServer(addr, handler)", i+1, len(servers)))
		}
	}
	for i, o := range g.Others {
		if o.Serve == nil || o.Shutdown == nil {
			panic(fmt.Sprintf("httpmetrics: Graceful.Others[%d] lacks Serve or Shutdown: set both", i))
		}
	}
	for s, l := range g.Listeners {
		if l == nil {
			panic("httpmetrics: a listener is nil: see the error of what should have opened it")
		}
		if !slices.Contains(servers, s) {
			panic("httpmetrics: Graceful.Listeners has a listener of a server that is not served: give that to Serve as well")
		}
	}
}

// Shutdown is the second half of Serve, for servers that were started in
// another way: it drains all of them at once, then closes the registry. Of ctx it uses
// only the values, so ctx may be done. Unlike Serve, it does not wait for requests
// behind h2c.NewHandler. It panics as Serve does.
func (g Graceful) Shutdown(ctx context.Context, reg *shoal.Registry, servers ...*http.Server) error {
	g.mustBeComplete(reg, servers)
	all := make([]part, len(servers))
	for i, s := range servers {
		all[i] = &serving{Server: s}
	}
	return g.shutdown(ctx, reg, all)
}

func (g Graceful) shutdown(ctx context.Context, reg *shoal.Registry, all []part) error {
	ctx = context.WithoutCancel(ctx)
	defer markDraining(all)()
	errs := make([]error, len(all), len(all)+1)
	drainCtx, cancel := context.WithTimeout(ctx, orDefault(g.DrainTimeout, DefDrainTimeout))
	defer cancel()
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = p.drain(drainCtx) })
	}
	wg.Wait()

	closeCtx, cancel := context.WithTimeout(ctx, orDefault(g.CloseTimeout, DefCloseTimeout))
	defer cancel()
	if err := reg.Close(closeCtx); err != nil {
		errs = append(errs, fmt.Errorf("httpmetrics: close the registry: %w", err))
	}
	return errors.Join(errs...)
}

func orDefault(d, standard time.Duration) time.Duration {
	if d <= 0 {
		return standard
	}
	return d
}
