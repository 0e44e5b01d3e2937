// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// reportEvery is the time between two reports of one kind of trouble.
const reportEvery = time.Minute

// The limits of the limiter's memory, and so of how many reports it passes on in a minute.
const (
	maxReportKinds = 100
	maxKind        = 200 // bytes of a kind
)

// errorLimiter passes troubles on to the application, each kind once a minute. While it
// remembers maxReportKinds, all further kinds count as one.
type errorLimiter struct {
	mu      sync.Mutex
	last    map[string]time.Time // when each kind was reported; guarded by mu
	expires time.Time            // no kind in last can be forgotten before; guarded by mu
	further furtherKinds         // guarded by mu
	onError func(error)          // guarded by mu
	logger  *slog.Logger         // guarded by mu
	outage  outage               // guarded by mu
}

// furtherKinds are the kinds that the limiter does not remember.
type furtherKinds struct {
	last       time.Time // when a trouble of them was reported
	unreported int       // how many were not reported since
}

// furtherError is a trouble of one of furtherKinds.
type furtherError struct {
	error
	unreported int
}

func (e furtherError) Error() string {
	return fmt.Sprintf("%v (there are more than %d kinds of trouble, and further ones are told once in %v: %d were not)",
		e.error, maxReportKinds, reportEvery, e.unreported)
}

func (e furtherError) Unwrap() error { return e.error }

// outage is a time in which something fails because of Redis as a whole.
type outage struct {
	failing  map[string]bool // the parts of shoal that fail; empty if there is no outage
	begun    time.Time
	reported bool
	reason   string // code of the refusal that was reported last; empty before the first
}

// connect sets where troubles go. Before it, none is reported.
func (l *errorLimiter) connect(onError func(error), logger *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onError, l.logger = onError, logger
}

// report passes err on, unless its kind was reported within the last minute or the registry
// is not connected yet, and says whether it did. A request may call it, so it costs little
// when it does not report. It calls OnError without a lock.
func (r *Registry) report(kind string, err error) bool {
	return r.reportIf(kind, func() error { return err })
}

// reportIf is report for an error that is made only if it is reported.
func (r *Registry) reportIf(kind string, cause func() error) bool {
	l := &r.limiter
	l.mu.Lock()
	allowed, further, unreported := l.admit(kind[:min(len(kind), maxKind)], time.Now())
	onError, logger := l.onError, l.logger
	l.mu.Unlock()
	if !allowed {
		return false
	}
	err := prefixOnce(wire.Printable(cause()))
	if further {
		err = furtherError{err, unreported}
	}
	if onError != nil {
		onError(err)
		return true
	}
	logger.Warn(err.Error())
	return true
}

// admit decides whether a trouble is reported now, and whether it is one of furtherKinds, of
// which some were not reported before it. The caller holds mu.
func (l *errorLimiter) admit(kind string, now time.Time) (allowed, further bool, unreported int) {
	last, known := l.last[kind]
	switch {
	case l.logger == nil || known && now.Sub(last) < reportEvery:
		return false, false, 0
	case known || l.hasRoom(now):
		if l.last == nil {
			l.last = map[string]time.Time{}
		}
		l.last[strings.Clone(kind)] = now
		return true, false, 0
	case now.Sub(l.further.last) < reportEvery:
		l.further.unreported++
		return false, false, 0
	}
	unreported = l.further.unreported
	l.further = furtherKinds{last: now}
	return true, true, unreported
}

// hasRoom forgets the kinds whose minute is over, and says whether one more can be remembered.
// The caller holds mu.
func (l *errorLimiter) hasRoom(now time.Time) bool {
	if len(l.last) >= maxReportKinds && !now.Before(l.expires) {
		l.expires = now.Add(reportEvery)
		for kind, last := range l.last {
			if at := last.Add(reportEvery); !now.Before(at) {
				delete(l.last, kind)
			} else if at.Before(l.expires) {
				l.expires = at
			}
		}
	}
	return len(l.last) < maxReportKinds
}

// reportRedis reports that a part of shoal failed. Trouble of Redis as a whole is one kind for
// all parts. After a reported refusal, silence is not reported in the same outage: servers
// that refuse may also close connections.
func (r *Registry) reportRedis(part string, err error) (reported bool) {
	trouble := wire.Trouble(err)
	if trouble == "" {
		return r.report(part, err)
	}
	if trouble == wire.Silence && r.limiter.explained() {
		return false
	}
	return r.report(redisKind+trouble, err)
}

// redisKind begins the kinds of what is wrong with Redis as a whole.
const redisKind = "Redis: "

// explained says whether there is an outage, of which a refusal was reported within the last
// minute.
func (l *errorLimiter) explained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outage
	return len(o.failing) > 0 && o.reason != "" && time.Since(l.last[redisKind+o.reason]) < reportEvery
}

// redisFails is reportRedis for a part that tries again by itself, and calls redisServes when
// it succeeds.
func (r *Registry) redisFails(part string, err error) {
	trouble := wire.Trouble(err)
	if trouble == "" && wire.Answered(err) {
		r.redisServes(part) // Redis is back: it refuses one metric alone
	}
	reported := r.reportRedis(part, err)
	if trouble == "" {
		return
	}
	l := &r.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outage
	if len(o.failing) == 0 {
		*o = outage{failing: map[string]bool{}, begun: time.Now()}
	}
	o.failing[part] = true
	o.reported = o.reported || reported
	if reported && trouble != wire.Silence {
		o.reason = trouble
	}
}

// scrapeFails reports a scrape that got no page. Scrapes are a part of an outage only on a
// read-only registry: a writer notices sooner than the next scrape when Redis is back.
func (r *Registry) scrapeFails(err error) {
	err = fmt.Errorf("shoal: a scrape failed: %w", err)
	if c := r.conn.Load(); c != nil && c.writer == nil {
		r.redisFails("scrape", err)
		return
	}
	r.reportRedis("scrape", err)
}

// redisServes notes that a part succeeded. If no other part fails, an outage that was reported
// is over, and that is reported.
func (r *Registry) redisServes(part string) {
	l := &r.limiter
	l.mu.Lock()
	o := &l.outage
	if !o.failing[part] {
		l.mu.Unlock()
		return
	}
	delete(o.failing, part)
	over := len(o.failing) == 0 && o.reported
	err := &RecoveredError{After: time.Since(o.begun)}
	onError, logger := l.onError, l.logger
	l.mu.Unlock()
	switch {
	case !over:
	case onError != nil:
		onError(err)
	default:
		logger.Info(err.Error())
	}
}
