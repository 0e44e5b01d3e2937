// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/bridge"
	"github.com/shoal-metrics/shoal/core/internal/page"
	"github.com/shoal-metrics/shoal/core/internal/redisclient"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// connection is the part of a registry that exists once it is connected.
type connection struct {
	opts   Opts
	writer *writer // nil when read only
	pages  *page.Reader
	client io.Closer // made by Open, and closed by Close; nil if it is the caller's

	sampled *sampler // the registry's

	// A synchronous write locks awaiting for reading while it enters its value and its waiter.
	// Close locks it while it closes stop: a write is entered before that, or refused.
	awaiting sync.RWMutex

	stop   chan struct{}  // closed by Close; stops the sampler's clock
	group  sync.WaitGroup // the goroutines
	begun  atomic.Bool    // set by the first Close
	done   chan struct{}  // closed when Close has its result
	result error          // of Close; read it after done
}

// Connect binds the registry to Redis: a single server, Sentinel or a Cluster.
// It checks its arguments and does no I/O, so an application starts while Redis is down. The
// client stays the caller's: close it after the registry. shoal finds a client inside a type
// that embeds it by an exported name, or has a method Unwrap() redis.UniversalClient. Connect
// fails if the registry is connected or closed, the client nil or a Ring, or an option wrong.
//
// go-redis trusts the server: anybody who can change what comes over the connection, or poses
// as Redis or as a Sentinel, can make a client of yours take all memory or end the process.
// The clients of Open are guarded against that.
func (r *Registry) Connect(client redis.UniversalClient, opts Opts) error {
	if err := redisclient.Check(client); err != nil {
		return fmt.Errorf("shoal: Connect: %w", err)
	}
	if err := r.connect(opts, r.newStore(client, false), nil); err != nil {
		return err
	}
	r.warnOf(client)
	return nil
}

// Open is Connect with a client of its own, made from a Redis URL and closed
// with the registry. Beside redis://, rediss:// and unix:// it takes the
// parameters of [redis.ParseURL]; several addr parameters name a Cluster, a
// master_name parameter a Sentinel set, with the URL's host as first address.
// In the URL of a Sentinel set, user and password before the @ are for Sentinel; those for
// Redis are the parameters username and password. The URL has to name all Sentinels: shoal
// asks no others. By default the client has 4 connections, and timeouts of 2 s to dial and 3 s
// to read or write. max_retries has no effect: the registry tries again by itself.
//
// Its connections are guarded: a reply that no Redis gives ends the connection, with an
// error that says what it was, and stored texts longer than 64 KiB take no memory. With
// rediss:// nobody on the network can read or change what is sent.
func (r *Registry) Open(url string, opts Opts) error {
	client, err := redisclient.New(url, opts.App)
	if err != nil {
		return fmt.Errorf("shoal: Open: %w", err)
	}
	if err := r.connect(opts, r.newStore(client, true), client); err != nil {
		return errors.Join(err, client.Close())
	}
	r.warnOf(client)
	return nil
}

// newStore returns a function that makes the store of an app. guarded says whether the client's
// connections are; see package guard.
func (r *Registry) newStore(client redis.UniversalClient, guarded bool) func(app string) wire.Store {
	return func(app string) wire.Store {
		store := wire.NewRedis(client, app)
		store.Guarded = guarded
		store.Report = func(err error) { r.report("client", fmt.Errorf("shoal: the Redis client: %w", err)) }
		store.Mended = r.mended
		return store
	}
}

// warnOf reports the client's settings that do harm, once.
func (r *Registry) warnOf(client redis.UniversalClient) {
	for i, err := range redisclient.Warnings(client) {
		r.report(fmt.Sprint("client ", i), fmt.Errorf("shoal: the Redis client: %w", err))
	}
}

func (r *Registry) connect(opts Opts, newStore func(app string) wire.Store, client io.Closer) error {
	if err := r.bind(opts, newStore, client); err != nil {
		return err
	}
	r.reportBeyondCap()
	return nil
}

func (r *Registry) bind(opts Opts, newStore func(app string) wire.Store, client io.Closer) error {
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if c := r.conn.Load(); c != nil {
		return fmt.Errorf("shoal: the registry is already connected to the app %q: use shoal.New for another", c.opts.App)
	}
	for _, f := range *r.families.Load() {
		if err := checkPeriods(&f.def, opts.RefreshPeriod); err != nil {
			return err
		}
	}
	store := newStore(opts.App)
	c := &connection{
		opts: opts, client: client, sampled: &r.sampled,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	reading := page.Config{
		App: opts.App, LeaseDuration: opts.LeaseDuration, Grace: leaseGrace(opts.LeaseDuration), ScrapeTimeout: DefScrapeTimeout,
		Own: r.self.shown,
	}
	r.limit.Store(int64(opts.SeriesLimit))
	r.limiter.connect(opts.OnError, opts.Logger)
	if !opts.ReadOnly {
		c.writer = newWriter(r, store, opts)
		reading.Held, reading.CatchUp, reading.Gauges = c.writer.held.Load, c.writer.catchUp, r.ownGauges
		c.group.Go(c.writer.run)
		c.group.Go(newHousekeeper(c.writer).run)
		c.group.Go(func() { r.sampled.run(opts.LeaseDuration/3, c.stop) })
		r.sampled.start()
	}
	c.pages = page.New(store, reading, pageObserver{r})
	r.conn.Store(c)
	return nil
}

// connected returns the connection of an open registry.
func (r *Registry) connected() (*connection, error) {
	c := r.conn.Load()
	switch {
	case c == nil:
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.closed {
			return nil, ErrClosed
		}
		return nil, ErrNotConnected
	case c.closing():
		return nil, ErrClosed
	}
	return c, nil
}

// writing is connected for writes: it fails on a read-only registry.
func (r *Registry) writing() (*connection, error) {
	c, err := r.connected()
	if err == nil && c.writer == nil {
		return nil, ErrReadOnly
	}
	return c, err
}

// Flush sends Redis everything that was written before the call, and waits until Redis has
// it. It tries until the context ends. A serverless handler, which may be frozen between two
// requests, calls it before it answers; a program that ends calls Close. On a read-only
// registry it does nothing.
//
// When the context ends it returns an [*UndeliveredError]; what that names stays queued. If a
// metric's name is registered with another type, it returns a [*TypeClashError]. After
// [ErrNotConnected] everything stays in memory until Connect. [ErrClosed] means that Close has
// begun, whose error tells what was not delivered.
func (r *Registry) Flush(ctx context.Context) error {
	c, err := r.connected()
	if err != nil || c.writer == nil {
		return err
	}
	r.sampled.wait(ctx, flushSampleTimeout, everyProvider)
	err = c.writer.request(ctx, false)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = c.writer.left(err)
	}
	return prefixOnce(fmt.Errorf("shoal: flush: %w", err))
}

// Close sends Redis everything, removes this process's gauges, gives its index back and stops
// all goroutines. It tries until the context ends, or for 10 s if that has no deadline, and
// then returns an [*UndeliveredError]. A program calls it at its end, a job as well as a
// server: without it, the process counts as living until its lease ends. Call it when nothing
// writes any more: what is written after Close began may go nowhere, and what is written after
// it ended goes nowhere. A second Close returns the same result. Close of an unconnected
// registry returns nil, and warns by [slog.Default] if it has values, which go nowhere.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	c := r.conn.Load()
	r.mu.Unlock()
	if c == nil {
		if lost := r.undelivered(ErrNotConnected); lost.NeverSent > 0 && !again {
			slog.Warn(lost.Error())
		}
		return nil
	}
	return c.close(ctx)
}

func (c *connection) closing() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

func (c *connection) close(ctx context.Context) error {
	if c.begun.CompareAndSwap(false, true) {
		c.sampled.last(ctx)
		c.awaiting.Lock()
		close(c.stop)
		c.awaiting.Unlock()
		c.result = c.shutDown(ctx)
		close(c.done)
		return c.result // the context may have ended meanwhile
	}
	select {
	case <-c.done:
		return c.result
	case <-ctx.Done():
		return fmt.Errorf("shoal: another Close is at work: %w", context.Cause(ctx))
	}
}

// lingerTimeout is how long Close waits at most, when all is delivered, for a scrape and for
// gauge functions that have not returned.
const lingerTimeout = 500 * time.Millisecond

// shutDown delivers and stops everything. It returns at the context's deadline at the latest;
// a call to Redis that is still under way then ends by its own timeout.
func (c *connection) shutDown(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
	}
	var err error
	if w := c.writer; w != nil {
		w.beginClose(ctx)
		select {
		case <-w.stopped:
			err = w.undelivered()
		case <-ctx.Done():
			err = w.left(context.Cause(ctx))
		}
		w.cancel()
	}
	c.pages.Stop(ErrClosed)
	ended := make(chan struct{})
	go func() { // ends with the goroutines that it waits for
		c.group.Wait()
		c.sampled.calls.Wait()
		c.pages.Wait()
		if c.client != nil {
			_ = c.client.Close() // nothing is left to be lost with it
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-time.After(lingerTimeout):
	}
	return err
}

func init() {
	bridge.Connect = func(registry, opts any, newStore func(app string) wire.Store) error {
		return registry.(*Registry).connect(opts.(Opts), newStore, nil)
	}
}
