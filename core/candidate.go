// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"sync/atomic"
	"time"
)

// candidacy is how long a process remains a candidate after it was last asked for its own page:
// longer than scrapers wait between two scrapes. So a process that a person asked once does not
// keep the shared families from the pages that are scraped.
const candidacy = 10 * time.Minute

// candidate is whether this process is a candidate for the shared families: see
// [HandlerOpts.EachProcess].
type candidate struct {
	asked  atomic.Pointer[time.Time] // when its own page was last asked for; nil if never
	stands atomic.Bool               // Redis knows that it is one
}

// wish says whether this process is to be a candidate.
func (c *candidate) wish() bool {
	asked := c.asked.Load()
	return asked != nil && time.Since(*asked) < candidacy
}

// ownPageAsked notes that somebody asks this process for its own page. If Redis does not know yet
// that it is a candidate, the next tick tells it.
func (w *writer) ownPageAsked() {
	now := time.Now()
	w.candidate.asked.Store(&now)
	if !w.candidate.stands.Load() {
		w.renewal.Store(true)
	}
}
