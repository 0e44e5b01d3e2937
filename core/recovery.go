// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// recoveryPoll is how long a scrape waits before it looks again whether the
// writers have caught up with another history of the data.
const recoveryPoll = 100 * time.Millisecond

// recovery holds pages back while they may lack what living processes will bring
// back: after a restart or a failover of the store, and when the store has lost
// something, until every living writer has given it what it lacks. Holding the
// last values instead could not work: another process may never have seen them.
type recovery struct {
	lease   time.Duration // of this process: others are taken to have the same
	begun   time.Time     // when pages began to be held back; zero if they are not
	lineage string        // the store's then

	emptied emptied // whether the store lost everything
}

// recoveringError says that the page has to wait, for whom, and how long at most.
type recoveringError struct {
	cause string
	wait  string
	stale bool // nobody has noted the store's present lineage yet
	lacks bool // the store lacks something of this process
}

func (e *recoveringError) Error() string { return "recovering: " + e.cause + "; " + e.wait }

// grace is how long after a change of the lineage pages are held back at
// least. In that time a writer makes itself heard whose lease was lost with the
// change, or ran out in the outage before: with its next heartbeat, and a
// back-off later where that failed.
func (b *recovery) grace() time.Duration { return b.lease/3 + b.lease/30 + maxBackoff }

// bound is how long pages are held back at most. A process that has died is
// gone from the leases before, and one that lives has made its refresh.
func (b *recovery) bound() time.Duration { return 2 * b.lease }

// pass says whether a page may be shown of what was read. Own is what the store had
// of this process before.
func (r *reader) pass(head wire.Head, own *holding) error {
	b := &r.recovery
	if b.emptied.notice(head, b.grace(), b.bound()) {
		b.begun = time.Time{}
	}
	s := b.shortfallOf(head, own)
	if s.nothing() {
		b.begun = time.Time{}
		return nil
	}
	if current := cmp.Or(head.Lineage, head.App.Lineage); b.begun.IsZero() || b.lineage != current {
		b.lineage, b.begun = current, time.Now()
	}
	if wait := b.waitFor(&s, len(head.App.Leases)); wait != "" {
		return &recoveringError{cause: b.causeOf(&s), wait: wait, stale: s.stale, lacks: s.lacks}
	}
	if s.unconfirmed > 0 || s.lacks {
		r.reg.self.unconfirmed.Inc()
		who := "this process has"
		if s.unconfirmed > 0 {
			who = fmt.Sprintf("%d of %d processes have", s.unconfirmed, len(head.App.Leases))
		}
		r.reg.report("unconfirmed", fmt.Errorf("shoal: the page is shown although it may lack something: "+
			"%s not brought back all that Redis may lack", who))
	}
	return nil
}

// shortfall is what speaks against showing a page.
type shortfall struct {
	stale       bool // nobody has noted the store's present lineage yet
	young       bool // it was noted so lately that processes without a lease may return
	lacks       bool // the store lacks something of this process
	unverified  bool // a process knows that the store lacks something of its own
	unconfirmed int  // processes that have not seen to it that the store has all of theirs
	missing     int  // processes that were alive before everything was lost
	families    int  // that were there before everything was lost

	age time.Duration // of the change of lineage that was noted; negative for none
}

func (s shortfall) nothing() bool { return s == shortfall{age: s.age} }

func (b *recovery) shortfallOf(head wire.Head, own *holding) shortfall {
	app := head.App
	told := app.Lineage != "" // else it was wiped, or no writer was ever told
	s := shortfall{
		stale:    told && head.Lineage != "" && head.Lineage != app.Lineage,
		lacks:    own.lacks(head),
		missing:  len(b.emptied.missing),
		families: len(b.emptied.families),
		age:      -1,
	}
	changed := !app.Since.IsZero()
	if changed {
		if s.age = app.Now.Sub(app.Since); s.age < 0 {
			s.age = math.MaxInt64 // noted by a clock that has been set back: nobody knows when, but it is past
		}
	}
	s.young = changed && s.age < b.grace()
	for _, l := range app.Leases {
		// A writer that can't read the lineage looks at its families with each
		// refresh.
		blind := !told || l.Lineage == "" && (!changed || s.age >= b.bound())
		if s.stale || l.Unverified || l.Lineage != app.Lineage && !blind {
			s.unconfirmed++
		}
		s.unverified = s.unverified || l.Unverified
	}
	return s
}

// waitFor says what the page has to wait for, and how long at most. It is empty if
// that time is over.
func (b *recovery) waitFor(s *shortfall, living int) string {
	waited, emptied := time.Since(b.begun), time.Since(b.emptied.at)
	if s.age > waited && !s.stale && !s.lacks && !s.unverified {
		waited = s.age // all that is missing is due to that change
	}
	upTo := "waiting up to " + seconds(b.bound()-waited) + " more for "
	switch {
	case s.unconfirmed > 0 && waited < b.bound():
		return upTo + fmt.Sprintf("%d of %d processes to bring back what it may lack", s.unconfirmed, living)
	case s.lacks && waited < b.bound():
		return upTo + "this process to bring back what is its own"
	case s.missing > 0 && emptied < b.grace():
		return fmt.Sprintf("waiting up to %s more for %d of %d processes to return",
			seconds(b.grace()-emptied), s.missing, s.missing+living)
	case s.families > 0 && emptied < b.bound():
		return fmt.Sprintf("waiting up to %s more for %d metrics to come back", seconds(b.bound()-emptied), s.families)
	case (s.young || s.stale && living == 0) && waited < b.grace(): // where nobody lives, nobody brings anything back
		return "waiting " + seconds(b.grace()-waited) + " more for processes whose lease was lost to return"
	}
	return ""
}

func (b *recovery) causeOf(s *shortfall) string {
	switch emptied := time.Since(b.emptied.at); {
	case s.stale:
		return "Redis restarted or failed over"
	case s.age >= 0 && s.age < b.bound():
		return "Redis restarted or failed over " + seconds(s.age) + " ago"
	case emptied < b.bound():
		return "Redis lost everything of this app " + seconds(emptied) + " ago"
	}
	return "Redis has lost something"
}

// seconds writes a duration in whole seconds, at least one.
func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", max(1, math.Ceil(d.Seconds()))) }

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
		if c.writer != nil {
			c.writer.help(last)
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(recoveryPoll):
		}
	}
}

// help makes the writer do now what a page waits for.
func (w *writer) help(e *recoveringError) {
	if e.stale {
		w.renewal.Store(true)
	}
	if e.lacks {
		w.lacking.Store(true)
	}
	if e.stale || e.lacks {
		w.wakeUp()
	}
}
