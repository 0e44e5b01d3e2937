// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// readTimeout bounds one reading of Redis, however long the scrapes would wait.
const readTimeout = 30 * time.Second

// ErrHasty is why the context of a hasty scrape ended: of one that asked for less
// time than it would have got without asking. If a hasty scrape gets no page, nothing
// need be wrong here.
var ErrHasty = fmt.Errorf("the scraper asked for no more time: %w", context.DeadlineExceeded)

// Config is what a reader knows of its process.
type Config struct {
	App string
	// LeaseDuration is this process's. Leases that do not tell theirs are taken to
	// have the same.
	LeaseDuration time.Duration
	// Grace is the time within which a living process renews a lease that it lost.
	Grace time.Duration
	// ScrapeTimeout is the time of a scrape that asks for none. A reading that
	// takes longer is a failure, however little time its scrapes have.
	ScrapeTimeout time.Duration

	// Own are shoal's own metrics.
	Own []Own

	// Gauges names the families whose values this process alone has: its declared gauges that are
	// not shared. It is nil where the process only reads.
	Gauges func() []string

	// Held returns what Redis has of this process, nil for nothing. CatchUp asks the
	// process's writer for what a page waits for: to renew its lease now, and to look
	// whether Redis still has all of its families. Both are nil where the process
	// only reads.
	Held    func() *Held
	CatchUp func(renew, verify bool)
}

// Observer hears what pages lack and how readings end.
type Observer interface {
	// OmittedValues hears that a page omits n stored values of a family, or of what
	// else the name says, and why; OmittedFamilies, that it omits n families.
	OmittedValues(name string, n int, err error)
	OmittedFamilies(name string, n int, err error)
	// Unconfirmed hears that a page will be shown although it may lack something.
	Unconfirmed(err error)
	// ReadingEnded hears how long a reading took, whatever its result. The observer has
	// heard before of all that the reading omits.
	ReadingEnded(took time.Duration)
	// ScrapesFailed hears why scrapes got no page in their time, when the reading that they
	// waited for has ended. Hasty is how many hasty scrapes failed; the callers of Read
	// have counted the others. Err is nil if the cause was told with the reading before.
	ScrapesFailed(hasty int, err error)
}

// Reader reads an app's metrics for scrapes. At most one reading is under way;
// scrapes that come meanwhile share the next one: they may join only a reading
// that has not begun, or they would miss what was written before they came.
type Reader struct {
	store    wire.Store
	config   Config
	observer Observer
	own      []ownMetric

	ctx    context.Context
	cancel context.CancelCauseFunc
	group  sync.WaitGroup // the reading under way, and calls of App

	mu     sync.Mutex
	next   *reading // not begun; guarded by mu
	active bool     // a goroutine works on readings; guarded by mu

	// The rest belongs to the reading under way.
	expected  wire.Expected // what the reading asks for at once
	index     index
	overlong  overlong
	recovery  recovery
	seniority seniority
}

// reading is one reading of Redis, and its result.
type reading struct {
	done    chan struct{} // closed when there is a result
	read    *whatWasRead
	err     error
	whole   bool // a scrape asks for the page of all processes; guarded by the reader's mu until it begins
	label   int  // bytes of the longest label that a scrape wants in each line; guarded likewise
	overdue bool // the time of a scrape ended before the reading; guarded by the reader's mu
	hasty   int  // how many hasty scrapes' time ended before it; guarded by the reader's mu
}

// New returns a reader of an app's store. It reads nothing until it is asked.
func New(store wire.Store, config Config, observer Observer) *Reader {
	r := &Reader{store: store, config: config, observer: observer, own: newOwnMetrics(config.Own)}
	r.recovery = recovery{lease: config.LeaseDuration, grace: config.Grace}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

// Stop ends the reading under way and lets no other begin. From then on all calls
// return the cause.
func (r *Reader) Stop(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel(cause)
}

// Wait returns when nothing is read any more; call it after Stop.
func (r *Reader) Wait() { r.group.Wait() }

// Read returns a page that was read after the call, and reads again while the page
// has to wait for writers. If the context ends before that, the last reason to wait
// is the error.
func (r *Reader) Read(ctx context.Context, req Request) (*Page, error) {
	var last *RecoveringError
	for {
		page, err := r.join(ctx, req)
		var recovering *RecoveringError
		switch {
		case errors.As(err, &recovering):
			last = recovering
		case err != nil && ctx.Err() != nil && last != nil:
			return nil, last
		default:
			return page, err
		}
		if (last.stale || last.lacks) && r.config.CatchUp != nil {
			r.config.CatchUp(last.stale, last.lacks)
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(recoveryPoll):
		}
	}
}

// join waits for the next reading to begin and end.
func (r *Reader) join(ctx context.Context, req Request) (*Page, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &reading{done: make(chan struct{})}
	}
	mine := r.next
	mine.whole = mine.whole || !req.Own
	mine.label = max(mine.label, req.labelLength())
	if !r.active && r.ctx.Err() == nil {
		r.active = true
		r.group.Go(r.work)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.pageOf(req)
	case <-ctx.Done():
		return r.giveUp(ctx, mine, req)
	case <-r.ctx.Done():
		return nil, context.Cause(r.ctx)
	}
}

// OverdueError says that the scrape's time ended before the reading did. The
// observer hears why when the reading has ended.
type OverdueError struct{ err error }

func (e *OverdueError) Error() string { return e.err.Error() }
func (e *OverdueError) Unwrap() error { return e.err }

// giveUp is the result for a scrape whose context ended.
func (r *Reader) giveUp(ctx context.Context, mine *reading, req Request) (*Page, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-mine.done: // at the same moment
		return mine.pageOf(req)
	default:
	}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrHasty):
		mine.hasty++
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // else nobody waits any more
		mine.overdue = true
	}
	return nil, &OverdueError{fmt.Errorf("Redis has not answered in time: %w", cause)}
}

// work reads as long as somebody waits for it.
func (r *Reader) work() {
	failed := false // whether the reading before did
	for {
		r.mu.Lock()
		job := r.next
		r.next = nil
		if job == nil || r.ctx.Err() != nil {
			r.active = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(r.ctx, readTimeout)
		begin := time.Now()
		job.read, job.err = r.readPage(ctx, job)
		took := time.Since(begin)
		cancel()
		r.observer.ReadingEnded(took)
		r.end(job, took, failed)
		failed = job.err != nil
	}
}

// end publishes the result of a reading, and reports it if a scrape could not wait
// for it. A reading that succeeds after one that failed is late for the reason that
// was reported of the latter. Hasty scrapes count only if a scrape that asks for no
// time would have got no page either.
func (r *Reader) end(job *reading, took time.Duration, afterFailure bool) {
	r.mu.Lock()
	close(job.done)
	overdue, hasty := job.overdue, job.hasty
	r.mu.Unlock()
	err := job.err
	if err == nil && took < r.config.ScrapeTimeout {
		hasty = 0
	}
	if !overdue && hasty == 0 || r.ctx.Err() != nil {
		return
	}
	if err == nil && !afterFailure {
		err = fmt.Errorf("Redis has not answered in time: reading took %v", took.Round(time.Millisecond))
	}
	if err != nil {
		err = fmt.Errorf("app %q: %w", r.config.App, err)
	}
	r.observer.ScrapesFailed(hasty, err)
}

// App reads which processes live and which families there are. It returns when ctx
// ends, though the call to Redis may go on: go-redis ignores deadlines unless told not
// to.
func (r *Reader) App(ctx context.Context) (wire.AppState, error) {
	type result struct {
		app wire.AppState
		err error
	}
	done := make(chan result, 1)
	r.mu.Lock()
	if r.ctx.Err() == nil {
		r.group.Go(func() {
			app, err := r.store.ReadApp(ctx)
			done <- result{app, err}
		})
	}
	r.mu.Unlock()
	select {
	case read := <-done:
		return read.app, read.err
	case <-ctx.Done():
		return wire.AppState{}, context.Cause(ctx)
	case <-r.ctx.Done():
		return wire.AppState{}, context.Cause(r.ctx)
	}
}
