// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
	"github.com/shoal-metrics/shoal/core/internal/page"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// callTimeout bounds one call to Redis.
const callTimeout = 5 * time.Second

// writer is one life of this process as a writer. Its one goroutine does all writing
// I/O, so only what others hand to it needs a lock.
//
// The goroutine wakes when something is due or somebody asks, and makes a tick: it
// renews the lease, and brings to Redis what is due, in a flush run (see flushRun).
// A tick that fails is tried again after a pause that grows.
type writer struct {
	reg   *Registry
	store wire.Store
	opts  Opts

	ctx     context.Context // of all its I/O; ends after Close
	cancel  context.CancelFunc
	wake    chan struct{} // has room for one; wakes the goroutine
	stopped chan struct{} // closed when the goroutine has ended

	// What other goroutines ask for, and what they read.
	renewal   atomic.Bool           // a scrape waits for the next heartbeat
	lacking   atomic.Bool           // a scrape missed something of this process
	trouble   atomic.Pointer[error] // of the last flush; nil if it went well
	held      atomic.Pointer[page.Held]
	candidate candidate
	backlog   backlog // belongs to the goroutine, but for what it says

	requests flushRequests

	mu      sync.Mutex
	closing context.Context // set by Close, bounds its work; guarded by mu

	// The rest belongs to the goroutine.
	id       string
	born     int64 // when this process started, in µs of Redis's clock
	clock    redisClock
	schedule schedule
	lease    lease
	lineage  lineage
	gauges   gaugeSender
	pace     wire.Pace
	bytes    int    // of all that it sent
	doubts   uint64 // how often it may have begun to doubt that Redis has a family; 1 at first
	lastErr  error  // of the last flush, if it failed

	unfinished bool // the last flush run left something that the next one is to go on with at once

	vector  []wire.Component // scratch of freeze, as are text and packing
	text    []byte
	packing scratch

	finished    bool  // everything was delivered and the lease given back
	replication error // what Close found of replicas, when finished
}

func newWriter(reg *Registry, store wire.Store, opts Opts) *writer {
	w := &writer{
		reg: reg, store: store, opts: opts,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		id: newID(), pace: wire.NewPace(store.Timeout(), callBytes), doubts: 1,
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.lease.index = wire.NoIndex
	w.lease.inherited, w.lease.predecessor = bridge.Predecessor(opts.App)
	w.schedule = schedule{opts: opts, jitter: newJitter(w.id)}
	return w
}

// run is the goroutine.
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
		w.requests.collect()
		w.heedScrapes(now)
		switch {
		case due(w.schedule.retryAt, now):
			w.tick(now)
		case w.lastErr != nil:
			w.answer(w.lastErr)
		}
		timer.Reset(time.Until(w.schedule.next(w.lease.renewAt)))
	}
}

// wakeUp makes the goroutine look for work.
func (w *writer) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// heedScrapes does what scrapes have asked for.
func (w *writer) heedScrapes(now time.Time) {
	if w.renewal.Swap(false) {
		w.lease.renewNow()
	}
	if w.lacking.Swap(false) && w.schedule.doubtDue(now) {
		w.doubt()
	}
}

// tick does what is due. It begins with the heartbeat, which also tells Redis's time, and
// whether Redis has other data than before.
func (w *writer) tick(now time.Time) {
	defer w.reg.tellDamage(keysReplaced)
	refreshing, part := w.refreshDue(now)
	if err := w.heartbeat(now); err != nil {
		w.failed(err)
		return
	}
	switch flushing := due(w.schedule.flushAt, now); {
	case refreshing, !w.lineage.confirmed(), w.asked():
		if w.flush(alongsideUnasked) {
			w.answer(nil)
		}
	case len(w.requests.collected) > 0: // only by scrapes, which need no flush
		w.answer(nil)
	case flushing && !w.active(everyFlush): // nothing to send
		w.succeeded()
		w.schedule.flushed(0, 0)
	case flushing && !due(w.schedule.alongsideAt, now):
		w.flush(everyFlush)
	case flushing:
		w.flush(alongsideUnasked)
	default:
		if err := w.runFlush(w.reg.awaited.families()); err != nil {
			w.failed(err)
		} else if w.unfinished {
			w.schedule.flushAt = time.Now()
		}
	}
	if w.lastErr == nil && len(part) > 0 {
		if err := w.verify(part); err != nil {
			w.failed(err)
		}
	}
}

// asked says whether somebody waits for a flush. A scrape does only if there is something
// to send that its page would show.
func (w *writer) asked() bool {
	return len(w.requests.collected) > 0 &&
		(!w.requests.onlyScrapes() || w.schedule.alongsideAt.IsZero() || w.active(alongside))
}

// active says whether a family of this cadence or a lower one has something to send, or
// whether all gauges are to be sent again, or the last flush was not finished.
func (w *writer) active(upTo cadence) bool {
	if w.gauges.all() || w.reg.gaugesForgotten.Load() || w.unfinished {
		return true
	}
	for _, f := range *w.reg.families.Load() {
		if f.def.cadence <= upTo && (f.out.generation == "" && f.wanted() || f.hasWork()) {
			return true
		}
	}
	return false
}

// flush makes a flush run of the families of this cadence and the lower ones, and schedules
// the next flush. It reports whether everything of these families was delivered.
func (w *writer) flush(upTo cadence) bool {
	families := slices.DeleteFunc(slices.Clone(*w.reg.families.Load()), func(f *family) bool {
		return f.def.cadence > upTo || !f.wanted()
	})
	begin, before := time.Now(), w.bytes
	err := w.runFlush(families)
	took := time.Since(begin)
	w.reg.self.flushDuration.Observe(took.Seconds())
	w.schedule.flushed(took, w.bytes-before)
	if err != nil {
		w.failed(err)
		return false
	}
	w.succeeded()
	if w.unfinished {
		w.schedule.flushAt = time.Now()
		w.requests.answer(false, w.refusals()) // a scrape does not wait for the rest
		return false
	}
	if upTo == alongsideUnasked {
		w.schedule.alongsideAt = begin.Add(w.schedule.jitter.around(selfPause))
	}
	if !w.lineage.confirmed() {
		w.schedule.flushAt = time.Now().Add(minBackoff) // Redis may still lack something that it had
	}
	return true
}

// sent notes what became of a pipeline of so many bytes; err is that of its last request.
func (w *writer) sent(bytes int, begun time.Time, err error) {
	w.bytes += bytes
	w.pace.Took(bytes, time.Since(begun), err)
}

// succeeded notes that Redis has taken what there was.
func (w *writer) succeeded() {
	w.schedule.succeeded(w.lineage.seen != "")
	w.lastErr = nil
	w.trouble.Store(nil)
	w.reg.redisServes("flush")
}

// failed counts and reports a failure, after which the writer waits before it tries
// again.
func (w *writer) failed(err error) {
	w.lastErr = err
	w.trouble.Store(&err)
	w.schedule.failed()
	w.reg.self.flushFailures.Inc()
	report := err
	if wire.Trouble(err) != "" {
		report = fmt.Errorf("shoal: counts wait in memory until Redis takes them: %w", err)
	}
	w.reg.redisFails("flush", report)
	w.answer(err)
}

// request asks for a flush and waits for it. With once it returns after one
// try, or at once while Redis is known to be away.
func (w *writer) request(ctx context.Context, once bool) error {
	r := &flushRequest{ctx: ctx, once: once, done: make(chan error, 1)}
	w.requests.add(r)
	w.wakeUp()
	var err error
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		w.requests.remove(r)
		w.wakeUp() // the writer may have collected it: it forgets it then
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

// answer answers those who asked for a flush that ended with err.
func (w *writer) answer(err error) { w.requests.answer(err == nil, wire.Join(err, w.refusals())) }

// refusals joins the errors of the families whose name another type holds.
func (w *writer) refusals() error {
	var errs []error
	for _, f := range *w.reg.families.Load() {
		if f.out.refused != nil {
			errs = append(errs, f.out.refused)
		}
	}
	return wire.Join(errs...)
}

// callContext bounds one call to Redis.
func (w *writer) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.ctx, callTimeout)
}
