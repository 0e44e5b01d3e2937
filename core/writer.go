// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// callTimeout bounds one call to Redis.
const callTimeout = 5 * time.Second

// writer is the life of this process as a writer. Its one goroutine does all writing
// I/O, so nothing below needs a lock but what others hand to it.
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
	wake    chan struct{} // has room for one: somebody asks
	stopped chan struct{} // closed when the goroutine has ended

	// What others ask for, and are told.
	renewal atomic.Bool           // a scrape waits for the next heartbeat
	lacking atomic.Bool           // a scrape missed something of this process
	queued  atomic.Int64          // the application's batches not acknowledged
	trouble atomic.Pointer[error] // of the last flush; nil if it went well
	holding atomic.Pointer[holding]

	mu       sync.Mutex
	requests []*flushRequest // guarded by mu
	closing  context.Context // set by Close, bounds its work; guarded by mu

	// The rest belongs to the goroutine.
	id      string
	jitter  jitter
	clock   storeClock
	born    int64 // when this process came up, in µs of the store's clock
	lease   lease
	lineage lineage
	gauges  gaugeSender
	pending []*flushRequest // collected, not answered

	flushAt     time.Time
	alongsideAt time.Time // when a flush takes shoal's own metrics along again; zero if the last did not
	refreshAt   time.Time
	housekeepAt time.Time
	doubtedAt   time.Time // for a scrape, last
	retryAt     time.Time
	failures    int // flushes in a row that failed
	lastErr     error

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
		id: newID(),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.lease.index = wire.NoIndex
	w.jitter = newJitter(w.id)
	w.housekeepAt = time.Now().Add(w.jitter.below(housekeepTime)) // a fleet starts at once
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
		w.collect()
		w.heedScrapes(now)
		switch {
		case !now.Before(w.retryAt):
			w.tick(now)
		case w.lastErr != nil:
			w.answer(w.lastErr)
		}
		timer.Reset(time.Until(w.next()))
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
	if w.lacking.Swap(false) && now.Sub(w.doubtedAt) >= doubtPause {
		w.doubtedAt = now
		w.doubt()
	}
}

// tick does what is due. It begins with the heartbeat, which also tells the time and
// whether the store's data is another than before.
func (w *writer) tick(now time.Time) {
	defer w.reg.tellDamage(keysReplaced)
	refreshing := w.refresh(now)
	if err := w.heartbeat(now); err != nil {
		w.failed(err)
		return
	}
	switch due := !now.Before(w.flushAt); {
	case refreshing, !w.lineage.confirmed(), w.asked():
		if w.flush(alongsideUnasked) {
			w.answer(nil)
		}
	case len(w.pending) > 0:
		w.answer(nil)
	case due && !w.active(everyFlush): // the heartbeat was answered, and nothing waits
		w.recovered()
		w.scheduleFlush(0)
	case due && now.Before(w.alongsideAt):
		w.flush(everyFlush)
	case due:
		w.flush(alongsideUnasked)
	default:
		if err := w.runFlush(w.awaited()); err != nil {
			w.failed(err)
		}
	}
	w.housekeep(now)
}

// asked says whether somebody waits for a flush. Scrapes do only if there is something
// to send that they would show.
func (w *writer) asked() bool {
	scrape := func(r *flushRequest) bool { return r.once }
	switch {
	case len(w.pending) == 0:
		return false
	case !slices.ContainsFunc(w.pending, func(r *flushRequest) bool { return !scrape(r) }):
		return w.alongsideAt.IsZero() || w.active(alongside)
	default:
		return true
	}
}

// flush makes a flush run of the families of the cadences up to this one, and schedules
// what comes after it. It reports whether everything of theirs was delivered.
func (w *writer) flush(upTo cadence) bool {
	families := *w.reg.families.Load()
	if upTo < alongsideUnasked {
		families = slices.DeleteFunc(slices.Clone(families), func(f *family) bool { return f.def.cadence > upTo })
	}
	begin := time.Now()
	err := w.runFlush(families)
	took := time.Since(begin)
	w.reg.self.flushDuration.Observe(took.Seconds())
	w.scheduleFlush(took)
	if err != nil {
		w.failed(err)
		return false
	}
	w.recovered()
	if upTo == alongsideUnasked {
		w.alongsideAt = begin.Add(w.jitter.around(selfPause))
	}
	if !w.lineage.confirmed() {
		w.flushAt = time.Now().Add(minBackoff) // something of before is left to bring back
	}
	return true
}
