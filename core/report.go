// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// reportEvery is how long a kind of trouble stays quiet after it was reported.
const reportEvery = time.Minute

// maxReportKinds bounds the memory of the limiter.
const maxReportKinds = 1000

// errorLimiter passes troubles on, each kind once a minute.
type errorLimiter struct {
	mu      sync.Mutex
	last    map[string]time.Time // when each kind was reported; guarded by mu
	onError func(error)          // guarded by mu
	logger  *slog.Logger         // guarded by mu
	outage  outage               // guarded by mu
}

// outage is the time in which something fails because of Redis as a whole.
type outage struct {
	failing  map[string]bool // what does; empty where there is no outage
	begun    time.Time
	reported bool
	reason   string // the last refusal that was reported; none yet if empty
}

// connect sets where troubles go.
func (l *errorLimiter) connect(onError func(error), logger *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onError, l.logger = onError, logger
}

// report passes err on unless its kind was just reported or nobody is there to
// hear it yet, and says whether it did. It may be called from the path of a
// request, so it costs little when quiet; the functions of the user are called
// without a lock.
func (r *Registry) report(kind string, err error) bool {
	l := &r.limiter
	now := time.Now()
	l.mu.Lock()
	last, known := l.last[kind]
	if l.logger == nil || (known && now.Sub(last) < reportEvery) {
		l.mu.Unlock()
		return false
	}
	if l.last == nil || len(l.last) >= maxReportKinds {
		l.last = map[string]time.Time{}
	}
	l.last[kind] = now
	onError, logger := l.onError, l.logger
	l.mu.Unlock()
	if onError != nil {
		onError(err)
		return true
	}
	logger.Warn(err.Error())
	return true
}

// reportRedis reports the failure of a part of shoal. Where the reason is Redis
// as a whole, that is one kind of trouble for all parts. In an outage of which a
// reason is known, silence tells nothing new: servers that refuse may hang up.
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

// explained says whether there is an outage of which a refusal was just reported.
func (l *errorLimiter) explained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outage
	return len(o.failing) > 0 && o.reason != "" && time.Since(l.last[redisKind+o.reason]) < reportEvery
}

// redisFails is reportRedis for a part that tries again by itself: redisServes
// tells when it succeeds.
func (r *Registry) redisFails(part string, err error) {
	trouble := wire.Trouble(err)
	if trouble == "" && wire.Answered(err) {
		r.redisServes(part) // it is there, and refuses one metric, perhaps for ever
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

// scrapeFails reports a scrape that got no page. Nobody says when the next comes,
// so where a writer tries as well, it tells when Redis is back.
func (r *Registry) scrapeFails(err error) {
	err = fmt.Errorf("shoal: a scrape failed: %w", err)
	if c := r.conn.Load(); c != nil && c.writer == nil {
		r.redisFails("scrape", err)
		return
	}
	r.reportRedis("scrape", err)
}

// redisServes notes that a part succeeded. When no part fails any more, an
// outage that was reported is reported as over.
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
