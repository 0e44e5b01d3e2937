// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// recoveryPoll is how long a scrape waits before it looks again whether the
// writers have caught up with another history of the data.
const recoveryPoll = 100 * time.Millisecond

// barrier holds pages back while the data may have stepped back: after a
// restart or a failover of the store, until every living writer has brought
// back what the store lacks of its own. Holding the last values instead could
// not work: another process may never have seen them.
type barrier struct {
	lease   time.Duration // of this process: others are taken to have the same
	lineage string        // for which pages are held back; empty if none are
	begun   time.Time     // when they began to be
}

// recoveringError says that the page has to wait for writers.
type recoveringError struct {
	unconfirmed, living int
	stale               bool // nobody has noted the store's present lineage yet
}

func (e *recoveringError) Error() string {
	return fmt.Sprintf("recovering, %d of %d unconfirmed: Redis restarted or failed over, "+
		"and the processes are bringing back what it may lack", e.unconfirmed, e.living)
}

// grace is how long after a change of the lineage pages are held back at
// least. In that time a writer makes itself heard whose lease was lost with the
// change, or ran out in the outage before: with its next heartbeat, and a
// back-off later where that failed.
func (b *barrier) grace() time.Duration { return b.lease/3 + b.lease/30 + maxBackoff }

// bound is how long pages are held back at most. A process that has died is
// gone from the leases before, and one that lives has made its refresh.
func (b *barrier) bound() time.Duration { return 2 * b.lease }

// pass says whether a page may be shown of an app whose store has this
// lineage, empty if it does not tell.
func (r *reader) pass(app wire.AppState, lineage string) error {
	b := &r.barrier
	if app.Lineage == "" { // wiped, or no writer was ever told
		return nil
	}
	trouble := &recoveringError{living: len(app.Leases), stale: lineage != "" && lineage != app.Lineage}
	changed, age := !app.Since.IsZero(), app.Now.Sub(app.Since)
	for _, l := range app.Leases {
		// A writer that can't read the lineage looks at its families with each
		// refresh.
		blind := l.Lineage == "" && (!changed || age >= b.bound())
		if trouble.stale || l.Lineage != app.Lineage && !blind {
			trouble.unconfirmed++
		}
	}
	if !trouble.stale && trouble.unconfirmed == 0 && (!changed || age >= b.grace()) {
		b.lineage = ""
		return nil
	}
	if current := cmp.Or(lineage, app.Lineage); b.lineage != current {
		b.lineage, b.begun = current, time.Now()
	}
	waited := time.Since(b.begun)
	if !trouble.stale && changed {
		waited = max(waited, age)
	}
	if len(app.Leases) == 0 && waited >= b.grace() {
		return nil // nobody is there to bring anything back
	}
	if waited < b.bound() {
		return trouble
	}
	r.reg.self.unconfirmed.Inc()
	r.reg.report("unconfirmed", fmt.Errorf("shoal: the page is shown although it may lack something: %w", trouble))
	return nil
}

// readConfirmed reads a page, and again while it has to wait for writers. The
// last reason is the error if the context ends before that.
func (c *connection) readConfirmed(ctx context.Context) (*page, error) {
	var last *recoveringError
	for {
		page, err := c.reader.read(ctx)
		var trouble *recoveringError
		switch {
		case errors.As(err, &trouble):
			last = trouble
		case err != nil && ctx.Err() != nil && last != nil:
			return nil, last
		default:
			return page, err
		}
		if last.stale && c.writer != nil {
			c.writer.hurry()
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(recoveryPoll):
		}
	}
}

// hurry makes the writer's next heartbeat be now.
func (w *writer) hurry() {
	w.hurried.Store(true)
	w.wakeUp()
}
