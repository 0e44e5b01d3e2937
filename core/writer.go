// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/page"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Timing of the writer.
const (
	callTimeout   = 5 * time.Second // of one call to Redis
	minBackoff    = 50 * time.Millisecond
	maxBackoff    = 2 * time.Second
	maxInterval   = 10 * time.Second // to which a slow Redis stretches flushes
	housekeepTime = 10 * time.Minute
	selfPause     = 10 * time.Second // of shoal's own metrics while others are flushed
	doubtPause    = time.Second      // between two times that scrapes make it look at all families
)

// writer is the life of this process as a writer: it owns the goroutine that
// flushes, renews the lease and refreshes the gauges. That one goroutine does
// all writing I/O, so nothing below needs a lock but what others hand to it.
type writer struct {
	reg   *Registry
	store wire.Store
	opts  Opts

	ctx     context.Context // of all its I/O; ends after Close
	cancel  context.CancelFunc
	wake    chan struct{}         // has room for one: somebody waits
	stopped chan struct{}         // closed when the goroutine has ended
	queued  atomic.Int64          // the user's batches not acknowledged: frozen in this pass, or left by the last
	trouble atomic.Pointer[error] // of the last pass; nil if it went well
	renewal atomic.Bool           // a scrape waits for the next heartbeat
	lacking atomic.Bool           // a scrape missed something of this process
	held    atomic.Pointer[page.Held]

	mu       sync.Mutex
	requests []*flushRequest // guarded by mu
	closing  context.Context // set by Close, bounds its work; guarded by mu

	// The rest belongs to the goroutine.
	id          string
	jitter      jitter
	clock       storeClock
	lease       lease
	lineage     lineage
	gauges      gaugeSender
	born        int64 // when this process came up, in µs of the store's clock
	flushAt     time.Time
	selfAt      time.Time // when a flush takes shoal's own metrics along again; zero if the last did not
	refreshAt   time.Time
	housekeepAt time.Time
	doubtedAt   time.Time // for a scrape, last
	retryAt     time.Time
	pending     []*flushRequest // collected, not answered
	failures    int             // passes in a row that failed
	lastErr     error
	vector      []wire.Component // scratch of freeze, as is text
	text        []byte
	packing     scratch
	finished    bool  // everything was delivered and the lease given back
	replication error // what Close found of replicas, when finished
}

// flushRequest asks for everything written before it to be brought to Redis.
type flushRequest struct {
	ctx  context.Context
	once bool // answer after one try
	done chan error
}

func newWriter(reg *Registry, store wire.Store, opts Opts) *writer {
	w := &writer{
		reg: reg, store: store, opts: opts,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		id: newID(),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.lease.index = wire.NoIndex
	w.jitter = newJitter(w.id)
	w.housekeepAt = time.Now().Add(w.jitter.below(housekeepTime)) // a fleet starts at once
	return w
}

// run is the goroutine. It starts with the lease, which also tells the time.
func (w *writer) run() {
	defer close(w.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.wake:
		case <-w.ctx.Done():
			return
		}
		if closing := w.closingContext(); closing != nil {
			w.finish(closing)
			return
		}
		now := time.Now()
		w.collect()
		if w.renewal.Swap(false) {
			w.lease.renewAt = now
		}
		if w.lacking.Swap(false) && now.Sub(w.doubtedAt) >= doubtPause {
			w.doubtedAt = now
			w.doubt()
		}
		switch {
		case !now.Before(w.retryAt):
			w.step(now)
		case w.lastErr != nil:
			w.answer(w.lastErr)
		}
		timer.Reset(time.Until(w.next()))
	}
}

// next is when there is something to do without being woken.
func (w *writer) next() time.Time {
	at := w.flushAt
	for _, t := range []time.Time{w.refreshAt, w.lease.renewAt, w.housekeepAt} {
		if t.Before(at) {
			at = t
		}
	}
	if at.Before(w.retryAt) {
		at = w.retryAt
	}
	return at
}

// step does what is due.
func (w *writer) step(now time.Time) {
	defer w.reg.tellDamage(keysReplaced)
	requested := len(w.pending) > 0
	due := !now.Before(w.flushAt)
	refresh := !now.Before(w.refreshAt)
	if refresh {
		w.refresh(now)
	}
	if err := w.heartbeat(now); err != nil {
		w.failed(err)
		return
	}
	switch {
	case requested && !refresh && w.nothingForScrapes():
		w.answer(nil)
	case requested || refresh || !w.lineage.confirmed():
		if w.flush(*w.reg.families.Load()) {
			w.answer(nil)
		}
	case due && w.active(userFamily):
		w.flush(w.due(now))
	case due: // the heartbeat was answered, and nothing waits
		w.recovered()
		w.scheduleFlush(0)
	default:
		if err := w.pass(w.ctx, w.withWaiters()); err != nil {
			w.failed(err)
		}
	}
	if !now.Before(w.housekeepAt) {
		w.housekeep(now)
	}
}

// nothingForScrapes says whether only scrapes asked for a flush, and there is
// nothing to send but how long flushes and scrapes took, which can wait for the
// refresh: it would cost each page a round trip.
func (w *writer) nothingForScrapes() bool {
	return w.lineage.confirmed() && !w.selfAt.IsZero() && !w.active(untimedFamily) &&
		!slices.ContainsFunc(w.pending, func(r *flushRequest) bool { return !r.once })
}

// due lists what a flush that nobody asked for takes along. Shoal's own metrics
// change with every flush, so each would cost Redis two more calls: they go
// with some only.
func (w *writer) due(now time.Time) []*family {
	families := *w.reg.families.Load()
	if !now.Before(w.selfAt) {
		return families
	}
	return slices.DeleteFunc(slices.Clone(families), func(f *family) bool { return f.def.self })
}

// flush runs one pass over families and schedules what comes after it. It
// reports whether everything of theirs was delivered.
func (w *writer) flush(families []*family) bool {
	begin := time.Now()
	err := w.pass(w.ctx, families)
	took := time.Since(begin)
	w.reg.self.flushDuration.Observe(took.Seconds())
	w.scheduleFlush(took)
	// Pages wait for a lease that says that something is missing. So it is renewed
	// now, although a family may be refused for ever, and before anybody hears of the
	// flush: a serverless process may be frozen then. If this fails, the next step
	// tries again.
	confirmed := w.confirm()
	if confirmed {
		_ = w.heartbeat(time.Now())
	}
	if err != nil {
		w.failed(err)
		return false
	}
	w.recovered()
	if len(families) == len(*w.reg.families.Load()) {
		w.selfAt = begin.Add(w.jitter.around(selfPause))
	}
	if !confirmed {
		w.flushAt = time.Now().Add(minBackoff) // something of before is left to bring back
	}
	return true
}

// recovered forgets the failures before. A store that was away may have come
// back as it was earlier; one that does not tell its lineage is asked at once
// for every family.
func (w *writer) recovered() {
	if w.failures > 0 && w.lineage.seen == "" {
		w.refreshAt = time.Now()
	}
	w.failures, w.lastErr, w.retryAt = 0, nil, time.Time{}
	w.trouble.Store(nil)
	w.reg.redisServes("flush")
}

// scheduleFlush sets the next flush, jittered so that processes started
// together do not stay in step, and later where flushes take long.
func (w *writer) scheduleFlush(took time.Duration) {
	pause := max(w.opts.Interval, min(4*took, maxInterval))
	w.flushAt = time.Now().Add(w.jitter.around(pause))
}

// failed counts and reports a failure and sets the time of the next try, which
// moves away while Redis is.
func (w *writer) failed(err error) {
	w.failures++
	w.lastErr = err
	w.trouble.Store(&err)
	w.reg.self.flushFailures.Inc()
	w.reg.redisFails("flush", err)
	// After a change of the lineage pages are held back for leaseGrace: in that time a
	// writer that lost its lease must renew it.
	longest := min(maxBackoff, max(w.opts.LeaseDuration/6, minBackoff))
	backoff := min(minBackoff<<min(w.failures, 10), longest)
	w.retryAt = time.Now().Add(backoff/2 + w.jitter.below(backoff/2))
	w.flushAt = w.retryAt
	w.selfAt = time.Time{} // what the failure left of them goes with the next try
	w.answer(err)
}

// wakeUp makes the goroutine look for work.
func (w *writer) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// request asks for a flush and waits for it. With once it returns after one
// try, or at once while Redis is known to be away.
func (w *writer) request(ctx context.Context, once bool) error {
	r := &flushRequest{ctx: ctx, once: once, done: make(chan error, 1)}
	w.mu.Lock()
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	w.wakeUp()
	var err error
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		w.forget(r)
		err = context.Cause(ctx)
	case <-w.stopped:
		err = ErrClosed
	}
	select {
	case err := <-r.done: // it came at the same moment
		return err
	default:
		return err
	}
}

// forget drops a request whose caller gave up, at once: the goroutine may be
// waiting for Redis, and impatient scrapes would pile up.
func (w *writer) forget(r *flushRequest) {
	w.mu.Lock()
	w.requests = slices.DeleteFunc(w.requests, func(other *flushRequest) bool { return other == r })
	w.mu.Unlock()
	w.wakeUp() // for the case that it was collected already
}

// collect takes the requests that came in, and forgets those whose callers
// gave up. A pass that begins after it may answer them.
func (w *writer) collect() {
	w.mu.Lock()
	w.pending = append(w.pending, w.requests...)
	w.requests = nil
	w.mu.Unlock()
	w.pending = slices.DeleteFunc(w.pending, func(r *flushRequest) bool { return r.ctx.Err() != nil })
}

// answer answers the collected requests after a pass: all of them when it
// succeeded, those for a single try when it failed.
func (w *writer) answer(err error) {
	result := wire.Join(err, w.refusals())
	w.pending = slices.DeleteFunc(w.pending, func(r *flushRequest) bool {
		if err != nil && !r.once {
			return false
		}
		r.done <- result
		return true
	})
}

// refusals joins the errors of the families whose name another type holds.
func (w *writer) refusals() error {
	var errs []error
	for _, f := range *w.reg.families.Load() {
		errs = append(errs, f.out.refused)
	}
	return wire.Join(errs...)
}
