// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// recoveryPoll is how long a scrape waits before it reads again, to see whether the
// writers have brought back what Redis lacked.
const recoveryPoll = 100 * time.Millisecond

// recovery holds pages back while they may lack what living processes will bring
// back: after a restart or a failover of Redis, and when Redis has lost something,
// until every living writer has sent what Redis lacks. To show the last values
// instead could not work: another process may never have seen them.
type recovery struct {
	lease time.Duration // of this process: others are taken to have the same
	// grace is how long after a change of the lineage pages are held back at least:
	// within it a writer renews a lease that was lost with the change, or that expired
	// in the outage before.
	grace time.Duration

	begun   time.Time // when pages began to be held back; zero if they are not
	lineage string    // Redis's at that time
	held    *Held     // what Redis had of this process at that time

	emptied emptied // whether Redis lost everything
}

// RecoveringError says that the page has to wait, for which processes, and how long
// at most.
type RecoveringError struct {
	cause string
	wait  string
	stale bool // no writer has recorded Redis's present lineage yet
	lacks bool // Redis lacks something of this process
}

func (e *RecoveringError) Error() string { return "recovering: " + e.cause + "; " + e.wait }

// bound is how long pages are held back at most. By then the lease of a process that
// died has expired, and a living process has made its refresh.
func (r *recovery) bound() time.Duration { return 2 * r.lease }

// check returns an error if no page may be shown yet of what was read. Held is what Redis had
// of this process before the head was read, and began is when that reading began.
func (r *recovery) check(head wire.Head, began time.Time, held *Held, observer Observer) error {
	if r.emptied.notice(head, r.grace, r.bound()) {
		r.begun = time.Time{}
	}
	s := r.shortfallOf(head, held)
	if held != nil && !s.lacks {
		held.seen.Store(&began)
	}
	if s.nothing() {
		r.begun = time.Time{}
		return nil
	}
	// What is lost now may not be what was lost when the wait began: it was brought back,
	// while nobody asked for a page, and lost again.
	current := cmp.Or(head.Lineage, head.App.Lineage)
	if r.begun.IsZero() || r.lineage != current || s.lacks && r.held != held {
		r.lineage, r.held, r.begun = current, held, time.Now()
	}
	if wait := r.waitFor(&s, len(head.App.Leases)); wait != "" {
		return &RecoveringError{cause: r.causeOf(&s), wait: wait, stale: s.stale, lacks: s.lacks}
	}
	if s.unconfirmed > 0 || s.lacks {
		who := "this process has"
		if s.unconfirmed > 0 {
			who = fmt.Sprintf("%d of %d processes have", s.unconfirmed, len(head.App.Leases))
		}
		observer.Unconfirmed(fmt.Errorf("shoal: the page is shown although it may lack something: "+
			"%s not brought back all that Redis may lack", who))
	}
	return nil
}

// calm says whether nothing speaks for holding pages back, by the head of one process: which lacks
// most families. Held is of the families that it has.
func (r *recovery) calm(head wire.Head, held *Held) bool {
	if !r.begun.IsZero() || r.emptied.leasesGone(head) || !r.shortfallOf(head, held).nothing() {
		return false
	}
	r.emptied.last.App.Lineage, r.emptied.last.App.Leases = head.App.Lineage, head.App.Leases
	return true
}

// shortfall is what speaks against showing a page.
type shortfall struct {
	stale       bool // no writer has recorded Redis's present lineage yet
	young       bool // it was recorded so lately that processes without a lease may return
	lacks       bool // Redis lacks something of this process
	unverified  bool // a process knows that Redis lacks something of its own
	unconfirmed int  // processes that have not verified that Redis has all of theirs
	missing     int  // processes that were alive before everything was lost, and have not returned
	families    int  // families that were there before everything was lost, and are not back

	age time.Duration // of the recorded change of lineage; negative for none
}

func (s shortfall) nothing() bool { return s == shortfall{age: s.age} }

func (r *recovery) shortfallOf(head wire.Head, held *Held) shortfall {
	app := head.App
	recorded := app.Lineage != "" // else the record was wiped, or no writer was ever told a lineage
	s := shortfall{
		stale:    recorded && head.Lineage != "" && head.Lineage != app.Lineage,
		lacks:    held.MissingIn(head),
		missing:  len(r.emptied.missing),
		families: len(r.emptied.families),
		age:      -1,
	}
	changed := !app.Since.IsZero()
	if changed {
		if s.age = app.Now.Sub(app.Since); s.age < 0 {
			s.age = math.MaxInt64 // recorded before the clock was set back: nobody knows when, but it is past
		}
	}
	s.young = changed && s.age < r.grace
	for _, l := range app.Leases {
		// A writer that is not told the lineage verifies its families with each
		// refresh.
		blind := !recorded || l.Lineage == "" && (!changed || s.age >= r.bound())
		if s.stale || l.Unverified || l.Lineage != app.Lineage && !blind {
			s.unconfirmed++
		}
		s.unverified = s.unverified || l.Unverified
	}
	return s
}

// waitFor says what the page has to wait for, and how long at most. It is empty if
// that time is over.
func (r *recovery) waitFor(s *shortfall, living int) string {
	waited, emptied := time.Since(r.begun), time.Since(r.emptied.at)
	if s.age > waited && !s.stale && !s.lacks && !s.unverified {
		waited = s.age // that change is why all of it is missing
	}
	upTo := "waiting up to " + seconds(r.bound()-waited) + " more for "
	switch {
	case s.unconfirmed > 0 && waited < r.bound():
		return upTo + fmt.Sprintf("%d of %d processes to bring back what it may lack", s.unconfirmed, living)
	case s.lacks && waited < r.bound():
		return upTo + "this process to bring back what is its own"
	case s.missing > 0 && emptied < r.grace:
		return fmt.Sprintf("waiting up to %s more for %d of %d processes to return",
			seconds(r.grace-emptied), s.missing, s.missing+living)
	case s.families > 0 && emptied < r.bound():
		return fmt.Sprintf("waiting up to %s more for %d metrics to come back", seconds(r.bound()-emptied), s.families)
	case (s.young || s.stale && living == 0) && waited < r.grace: // where nobody lives, nobody brings anything back
		return "waiting " + seconds(r.grace-waited) + " more for processes whose lease was lost to return"
	}
	return ""
}

func (r *recovery) causeOf(s *shortfall) string {
	switch emptied := time.Since(r.emptied.at); {
	case s.stale:
		return "Redis restarted or failed over"
	case s.age >= 0 && s.age < r.bound():
		return "Redis restarted or failed over " + seconds(s.age) + " ago"
	case emptied < r.bound():
		return "Redis lost everything of this app " + seconds(emptied) + " ago"
	}
	return "Redis has lost something"
}

// seconds writes a duration in whole seconds, at least one.
func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", max(1, math.Ceil(d.Seconds()))) }
