// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// readTimeout bounds one reading of Redis, however patient the scrapes are.
const readTimeout = 30 * time.Second

// reader reads an app's metrics for scrapes. At most one reading is under way;
// scrapes that come meanwhile share the next one: they may join only a reading
// that has not begun, or they would miss what was written before they came.
type reader struct {
	reg   *Registry
	store wire.Store
	opts  Opts

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup // the reading under way

	mu     sync.Mutex
	next   *reading // not begun; guarded by mu
	active bool     // a goroutine works on readings; guarded by mu

	// The rest belongs to the reading under way.
	app      wire.AppState            // of the last reading, by which the next head is guessed
	own      *atomic.Pointer[holding] // of the writer beside it, if any
	known    map[string]*knownFamily  // by name
	tooLarge map[string]time.Time     // families that did not fit, and when that was found
	overlong overlong
	recovery recovery
}

// reading is one reading of Redis and its result.
type reading struct {
	done    chan struct{} // closed when there is a result
	page    *page
	err     error
	overdue bool // a scrape's time ended before; guarded by the reader's mu
	hasty   int  // scrapes whose time ended before and that had asked for little; guarded by the reader's mu
}

func newReader(reg *Registry, store wire.Store, opts Opts) *reader {
	r := &reader{reg: reg, store: store, opts: opts, known: map[string]*knownFamily{}, tooLarge: map[string]time.Time{}, own: &atomic.Pointer[holding]{}}
	r.recovery.lease = opts.LeaseDuration
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx, r.cancel = ctx, func() { // no reading begins once this has returned
		r.mu.Lock()
		defer r.mu.Unlock()
		cancel()
	}
	return r
}

// read returns a page that was read after the call.
func (r *reader) read(ctx context.Context) (*page, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &reading{done: make(chan struct{})}
	}
	mine := r.next
	if !r.active && r.ctx.Err() == nil {
		r.active = true
		r.group.Go(r.work)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.page, mine.err
	case <-ctx.Done():
		return r.giveUp(ctx, mine)
	case <-r.ctx.Done():
		return nil, ErrClosed
	}
}

// overdueError says that the scrape's time ended before the reading did. How that
// ends says why, so it is reported then.
type overdueError struct{ error }

func (e *overdueError) Unwrap() error { return e.error }

// giveUp is the result for a scrape whose context ended.
func (r *reader) giveUp(ctx context.Context, mine *reading) (*page, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-mine.done: // at the same moment
		return mine.page, mine.err
	default:
	}
	switch {
	case isHasty(ctx):
		mine.hasty++
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // else nobody waits any more
		mine.overdue = true
	}
	return nil, &overdueError{fmt.Errorf("Redis has not answered in time: %w", context.Cause(ctx))}
}

// ended publishes the result of a reading, and reports it where a scrape could
// not wait for it. A reading that succeeded after one that failed was late for
// the reason that was reported of that one. Scrapes that had asked for little time
// count if no other would have got a page either.
func (r *reader) ended(job *reading, took time.Duration, afterFailure bool) {
	r.mu.Lock()
	close(job.done)
	overdue, hasty := job.overdue, job.hasty
	r.mu.Unlock()
	err := job.err
	if hasty > 0 && r.ctx.Err() == nil && (err != nil || took >= DefScrapeTimeout) {
		r.reg.self.scrapeFailures.Add(float64(hasty))
		overdue = true
	}
	switch {
	case !overdue || r.ctx.Err() != nil || err == nil && afterFailure:
		return
	case err == nil:
		err = fmt.Errorf("Redis has not answered in time: reading took %v", took.Round(time.Millisecond))
	}
	r.reg.scrapeFails(fmt.Errorf("app %q: %w", r.opts.App, err))
}

// work reads as long as somebody waits for it.
func (r *reader) work() {
	failed := false // the reading before
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
		job.page, job.err = r.readPage(ctx)
		cancel()
		took := time.Since(begin)
		r.reg.self.scrapeDuration.Observe(took.Seconds())
		r.ended(job, took, failed)
		failed = job.err != nil
	}
}

// wait returns when no reading is under way; call it after cancel.
func (r *reader) wait() { r.group.Wait() }

// retryTooLarge is how long a family is omitted, without a look at its series,
// that did not fit into a page: to find that out takes about as long as to read all
// the others.
const retryTooLarge = 5 * time.Minute

// readFamily is a family with the values of its known series.
type readFamily struct {
	name    string
	state   wire.FamilyState
	known   *knownFamily
	values  []wire.SeriesValue // parallel to known.labels
	scanned bool               // known is new, and all there is of this state
}

// shows says whether the known series i belongs to what the mode shows. A gauge
// whose mode changed may have series of Latest and of Total, side by side.
func (f *readFamily) shows(i int) bool {
	return wire.IsTotal(f.known.labels.fields[i]) == f.state.Total()
}

// readPage reads everything that a page shows. The round trips are few, and
// their number does not depend on that of the metrics, but for families whose
// series changed and for slices that keep Redis free for others.
//
// The lineage is read before and after: what was read in between is shown only
// if it is all of one history, and one that the writers have looked at.
func (r *reader) readPage(ctx context.Context) (*page, error) {
	defer r.reg.tellDamage(valuesOmitted, familiesOmitted)
	own := r.own.Load()
	head, err := r.store.ReadHead(ctx, r.app)
	r.app = head.App // none after an error, which the guess may have caused
	if err != nil {
		return nil, err
	}
	r.overlong.remove(&head, r.opts.LeaseDuration)
	app := head.App
	if err := r.pass(head, own); err != nil {
		return nil, err
	}
	r.noteOmitted(head)
	families, after, err := r.readValues(ctx, r.keep(app.Families, head.States), head.Lineage)
	if err != nil {
		return nil, err
	}
	if after != head.Lineage {
		return nil, &recoveringError{
			cause: "Redis restarted or failed over while the page was read",
			wait:  "it is read again", stale: true,
		}
	}
	r.remember(families)
	b := newPageBuilder(ctx, r.reg, app)
	for i, reply := range head.Gauges {
		b.addGauges(app.Leases[i], reply)
	}
	p, err := b.build(families)
	if err != nil {
		return nil, err
	}
	if len(app.Families) == 0 && len(app.Leases) == 0 && r.opts.ReadOnly { // a writer will be there itself
		p.note = fmt.Sprintf("shoal: Redis has no metric and no living process of the app %q: is that its name?", r.opts.App)
		r.reg.report("empty app", errors.New(p.note))
	}
	return p, nil
}

// noteOmitted counts what of the app was not read, for the report.
func (r *reader) noteOmitted(head wire.Head) {
	r.reg.omitted(familiesOmitted, "names of the list of metrics", head.App.Omitted, errNames)
	r.reg.omitted(valuesOmitted, "the leases", head.App.Damaged, errLeases)
	for i, g := range head.Gauges {
		if g.Err != nil {
			r.reg.omitFamily("all gauges of the process with gauge_index "+strconv.Itoa(head.App.Leases[i].Index), g.Err)
		}
		r.reg.omitted(valuesOmitted, "the gauges of a process", g.Damaged, errDeadline)
	}
}

var (
	errNames    = fmt.Errorf("they are no names of metrics, or there are more than %d", wire.MaxFamilies)
	errLeases   = errors.New("entries that are no leases")
	errDeadline = errors.New("entries without a deadline")
)

// keep pairs names and states, reports those that are damaged and leaves them
// off, and forgets what is remembered of families that are gone.
func (r *reader) keep(names []string, states []wire.FamilyState) []readFamily {
	families := make([]readFamily, 0, len(names))
	known, tooLarge := make(map[string]*knownFamily, len(names)), map[string]time.Time{}
	for i, name := range names {
		switch err := states[i].Err; {
		case errors.Is(err, wire.ErrUnregistered):
			continue // its registration is under way
		case err != nil:
			r.omit(name, err)
			continue
		}
		families = append(families, readFamily{name: name, state: states[i]})
		if k := r.known[name]; k != nil {
			known[name] = k
		}
		if at, ok := r.tooLarge[name]; ok && time.Since(at) < retryTooLarge {
			tooLarge[name] = at
		}
	}
	r.known, r.tooLarge = known, tooLarge
	return families
}

// leftOff reports a family that the page cannot show.
func (r *reader) omit(name string, err error) {
	if _, known := r.tooLarge[name]; !known && errors.Is(err, wire.ErrTooLarge) {
		r.tooLarge[name] = time.Now()
	}
	r.reg.omitFamily(name, err)
}

// readValues reads the values of all families that have any in Redis, and then
// the lineage. Before is the lineage as it was read first. Of the bytes that are read
// for a page a family takes half of what is left at most, so that none pushes all
// others off.
func (r *reader) readValues(ctx context.Context, families []readFamily, before string) ([]readFamily, string, error) {
	var queries []wire.SeriesQuery
	var asked, scanned []int // the families of the queries, and those that were scanned
	room := wire.MaxPage
	for _, k := range r.known {
		room -= k.size
	}
	for i := range families {
		f := &families[i]
		f.known = r.known[f.name]
		switch {
		case !f.state.Shared():
			continue // its values are with the writers' gauges
		case f.known != nil && f.known.seriesVersion == f.state.SeriesVersion && f.state.SeriesVersion != "" && (before != "" || time.Since(f.known.scanned) < r.recovery.bound()):
			// Where the lineage is not told, a failover within a reading goes
			// unseen: what is remembered then is not believed for long.
			queries = append(queries, wire.SeriesQuery{Family: f.name, Fields: f.known.labels.fields, Texts: f.known.texts})
			asked = append(asked, i)
		default:
			if f.known != nil {
				room += f.known.size
				delete(r.known, f.name)
				f.known = nil
			}
			stored, err := r.scan(ctx, f.name, room/2)
			if err != nil && !wire.Damaged(err) && !errors.Is(err, wire.ErrTooLarge) {
				return nil, "", err
			}
			if err != nil {
				r.omit(f.name, err)
				continue
			}
			if f.known, f.values, err = r.learn(ctx, f.name, f.state.SeriesVersion, stored); err != nil {
				return nil, "", err
			}
			room -= f.known.size
			f.scanned = true
			scanned = append(scanned, i)
		}
	}
	if err := r.confirm(ctx, families, scanned); err != nil {
		return nil, "", err
	}
	var gone []int
	replies, lineage, err := r.store.ReadSeries(ctx, queries, room)
	if err != nil {
		return nil, "", err
	}
	for q, reply := range replies {
		f := &families[asked[q]]
		if reply.Err != nil {
			r.omit(f.name, reply.Err)
			delete(r.known, f.name)
			f.known = nil
			continue
		}
		f.values, f.known.texts = reply.Values, reply.Texts
		if len(f.values) > 0 && !slices.ContainsFunc(f.values, func(v wire.SeriesValue) bool { return v.Found }) {
			gone = append(gone, asked[q])
		}
	}
	return families, lineage, r.confirm(ctx, families, gone)
}

// confirm looks up families again whose series were scanned, or have none left.
// Series may have come or gone between the first look and the scan; then the scan is
// not that of the series version seen before it, nor for sure that of the series version seen now. Or
// the store was emptied meanwhile; then it returns an error.
func (r *reader) confirm(ctx context.Context, families []readFamily, which []int) error {
	if len(which) == 0 {
		return nil
	}
	names := make([]string, len(which))
	for n, i := range which {
		names[n] = families[i].name
	}
	states, err := r.store.ReadFamilies(ctx, names)
	if err != nil {
		return err
	}
	for n, i := range which {
		f := &families[i]
		if states[n].Generation != f.state.Generation {
			return &recoveringError{cause: "Redis lost something while the page was read", wait: "it is read again"}
		}
		f.scanned = f.scanned && states[n].SeriesVersion == f.state.SeriesVersion
	}
	return nil
}

// remember keeps what was scanned for later readings of the same series version. Call it
// only when the reading turned out to be of one history: after a failover Redis
// may return to a series version that was seen before it, and what was scanned behind the
// failover is not what that series version has.
func (r *reader) remember(families []readFamily) {
	for _, f := range families {
		if f.scanned {
			r.known[f.name] = f.known
		}
	}
}

// scan reads all series of a family, unless they were just found not to fit.
func (r *reader) scan(ctx context.Context, name string, room int) ([]wire.Series, error) {
	if _, known := r.tooLarge[name]; known {
		return nil, wire.ErrTooLarge
	}
	return r.store.ScanSeries(ctx, name, room)
}
