// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"time"
)

// When the writer does things.
const (
	minBackoff    = 50 * time.Millisecond
	maxBackoff    = 2 * time.Second
	maxInterval   = 10 * time.Second // to which a slow Redis stretches flushes
	housekeepTime = 10 * time.Minute
	doubtPause    = time.Second // between two times that scrapes make it register all families
)

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

// refresh, when it is due, makes the next flush run send every gauge again and ask for
// each family whether Redis still has what it had. It reports whether it is.
func (w *writer) refresh(now time.Time) bool {
	if now.Before(w.refreshAt) {
		return false
	}
	pause := w.jitter.early(w.opts.RefreshPeriod) // not later: an Expire may be just above the period
	if w.refreshAt.IsZero() {
		pause = w.jitter.below(w.opts.RefreshPeriod) // a fleet starts at once
	}
	w.refreshAt = now.Add(pause)
	w.refreshAll()
	return true
}

func (w *writer) refreshAll() {
	w.gauges.refresh = true
	for _, f := range *w.reg.families.Load() {
		f.out.unverified = true
	}
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
	// A page is held back for a heartbeat after a change of the lineage (see
	// recovery.grace): whoever lost its lease meanwhile must be heard in it.
	longest := min(maxBackoff, max(w.opts.LeaseDuration/6, minBackoff))
	backoff := min(minBackoff<<min(w.failures, 10), longest)
	w.retryAt = time.Now().Add(backoff/2 + w.jitter.below(backoff/2))
	w.flushAt = w.retryAt
	w.alongsideAt = time.Time{} // what the failure left of them goes with the next try
	w.answer(err)
}

// housekeep removes what nobody needs any more, for the whole fleet, when that is due
// and no other process did it lately. A failure is reported, and mended by the next of
// any process.
func (w *writer) housekeep(now time.Time) {
	if now.Before(w.housekeepAt) {
		return
	}
	w.housekeepAt = now.Add(housekeepTime + w.jitter.around(housekeepTime))
	ctx, cancel := w.callContext()
	defer cancel()
	if err := w.store.Housekeep(ctx, max(0, w.opts.Retention), housekeepTime); err != nil {
		w.reg.reportRedis("housekeeping", fmt.Errorf("shoal: housekeeping: %w", err))
	}
}
