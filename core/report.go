// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"log/slog"
	"sync"
	"time"
)

// reportEvery is how long a kind of trouble stays quiet after it was reported.
const reportEvery = time.Minute

// maxReportKinds bounds the memory that quietness takes.
const maxReportKinds = 1000

// quietly passes troubles on, each kind once a minute.
type quietly struct {
	mu      sync.Mutex
	last    map[string]time.Time // when each kind was reported; guarded by mu
	onError func(error)          // guarded by mu
	logger  *slog.Logger         // guarded by mu
}

// connect sets where troubles go.
func (q *quietly) connect(onError func(error), logger *slog.Logger) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.onError, q.logger = onError, logger
}

// report passes err on unless its kind was just reported or nobody is there to
// hear it yet. It may be called from the path of a request, so it costs little
// when quiet; the functions of the user are called without a lock.
func (r *Registry) report(kind string, err error) {
	q := &r.quiet
	now := time.Now()
	q.mu.Lock()
	last, known := q.last[kind]
	if q.logger == nil || (known && now.Sub(last) < reportEvery) {
		q.mu.Unlock()
		return
	}
	if q.last == nil || len(q.last) >= maxReportKinds {
		q.last = map[string]time.Time{}
	}
	q.last[kind] = now
	onError, logger := q.onError, q.logger
	q.mu.Unlock()
	if onError != nil {
		onError(err)
		return
	}
	logger.Warn(err.Error())
}
