// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// recoveryPoll is how long a scrape waits before it looks again whether the
// writers have caught up with another history of the data.
const recoveryPoll = 100 * time.Millisecond

// barrier holds pages back while they may lack what living processes will bring
// back: after a restart or a failover of the store, and when the store has lost
// something, until every living writer has given it what it lacks. Holding the
// last values instead could not work: another process may never have seen them.
type barrier struct {
	lease   time.Duration // of this process: others are taken to have the same
	begun   time.Time     // when pages began to be held back; zero if they are not
	lineage string        // the store's then

	last     wire.Head           // what was read last, by which a loss is noticed
	lost     time.Time           // when it was noticed that everything was gone
	missing  map[string]bool     // writers that were alive before that and have not returned
	families map[string]bool     // that were there before that and are not back
	ahead    map[string]sighting // by writer: leases that seemed to last too long
}

// sighting tells since when a lease has not been renewed.
type sighting struct {
	deadline time.Time // the store's
	first    time.Time // ours
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
func (b *barrier) grace() time.Duration { return b.lease/3 + b.lease/30 + maxBackoff }

// bound is how long pages are held back at most. A process that has died is
// gone from the leases before, and one that lives has made its refresh.
func (b *barrier) bound() time.Duration { return 2 * b.lease }

// believe takes the leases out of a reading whose process must be dead although
// they seem to last. One that seems to last for longer than it was given was
// written before the store's clock was set back. A living process renews it soon.
func (b *barrier) believe(head *wire.Head) {
	ahead := map[string]sighting{}
	dead := map[string]bool{}
	for _, l := range head.App.Leases {
		ttl := cmp.Or(l.TTL, b.lease)
		s, known := b.ahead[l.Writer]
		if known = known && s.deadline.Equal(l.Deadline); !known {
			s = sighting{l.Deadline, time.Now()}
		}
		if known || l.Deadline.Sub(head.App.Now) > ttl {
			ahead[l.Writer] = s
			dead[l.Writer] = time.Since(s.first) >= ttl
		}
	}
	b.ahead = ahead
	if len(dead) == 0 {
		return
	}
	var leases []wire.Lease
	var gauges [][]wire.Series
	for i, l := range head.App.Leases {
		if !dead[l.Writer] {
			leases, gauges = append(leases, l), append(gauges, head.Gauges[i])
		}
	}
	head.App.Leases, head.Gauges = leases, gauges
}

// notice compares a reading with the last one. When everything is gone that was
// there, the processes are missed that were alive. Where they still have their
// leases, nothing tells whether they have looked, and their families are missed.
func (b *barrier) notice(head wire.Head) {
	last := b.last
	b.last = head
	registered := func(s wire.FamilyState) bool { return s.Generation != "" }
	leasesGone := last.App.Lineage != "" && head.App.Lineage == ""
	familiesGone := slices.ContainsFunc(last.States, registered) && !slices.ContainsFunc(head.States, func(s wire.FamilyState) bool {
		return registered(s) && slices.ContainsFunc(last.States, func(old wire.FamilyState) bool { return old.Generation == s.Generation })
	})
	if leasesGone || familiesGone {
		b.lost, b.begun = time.Now(), time.Time{}
		if familiesGone {
			b.lost = b.lost.Add(-sinceLoss(head))
		}
		if b.missing == nil {
			b.missing = map[string]bool{}
		}
		for _, l := range last.App.Leases {
			b.missing[l.Writer] = true
		}
	}
	returned := false
	for _, l := range head.App.Leases {
		returned = returned || b.missing[l.Writer]
		delete(b.missing, l.Writer)
	}
	if familiesGone && !leasesGone && returned {
		b.families = map[string]bool{}
		for i, s := range last.States {
			if registered(s) {
				b.families[last.App.Families[i]] = true
			}
		}
	}
	for i, s := range head.States {
		if registered(s) {
			delete(b.families, head.App.Families[i])
		}
	}
	switch past := time.Since(b.lost); { // those have gone for good
	case past >= b.bound():
		b.families = nil
		fallthrough
	case past >= b.grace():
		b.missing = nil
	}
}

// sinceLoss is how long ago everything was lost at least: as long as the oldest
// family is there that was registered since.
func sinceLoss(head wire.Head) (age time.Duration) {
	for _, s := range head.States {
		if s.Generation != "" {
			age = max(age, head.App.Now.Sub(time.UnixMicro(s.Created)))
		}
	}
	return age
}

// pass says whether a page may be shown of what was read. Own is what the store had
// of this process before.
func (r *reader) pass(head wire.Head, own *holding) error {
	b, app := &r.barrier, head.App
	b.notice(head)
	lacks := own.lacks(head)
	told := app.Lineage != "" // else it was wiped, or no writer was ever told
	stale := told && head.Lineage != "" && head.Lineage != app.Lineage
	changed, age := !app.Since.IsZero(), app.Now.Sub(app.Since)
	if age < 0 {
		age = math.MaxInt64 // a clock noted it that has been set back: nobody knows, but it is not to come
	}
	unconfirmed, unverified := 0, false
	for _, l := range app.Leases {
		// A writer that can't read the lineage looks at its families with each
		// refresh.
		blind := !told || l.Lineage == "" && (!changed || age >= b.bound())
		if stale || l.Unverified || l.Lineage != app.Lineage && !blind {
			unconfirmed++
		}
		unverified = unverified || l.Unverified
	}
	young := changed && age < b.grace()
	if !stale && !lacks && !young && unconfirmed == 0 && len(b.missing) == 0 && len(b.families) == 0 {
		b.begun = time.Time{}
		return nil
	}
	if current := cmp.Or(head.Lineage, app.Lineage); b.begun.IsZero() || b.lineage != current {
		b.lineage, b.begun = current, time.Now()
	}
	waited := time.Since(b.begun)
	if changed && !stale && !lacks && !unverified {
		waited = max(waited, age)
	}

	trouble := &recoveringError{stale: stale, lacks: lacks, cause: "Redis has lost something"}
	switch {
	case stale:
		trouble.cause = "Redis restarted or failed over"
	case changed && age < b.bound():
		trouble.cause = "Redis restarted or failed over " + seconds(age) + " ago"
	case time.Since(b.lost) < b.bound():
		trouble.cause = "Redis lost everything of this app " + seconds(time.Since(b.lost)) + " ago"
	}
	hold := func(left time.Duration, format string, args ...any) {
		if left > 0 && trouble.wait == "" {
			trouble.wait = fmt.Sprintf(format, append([]any{seconds(left)}, args...)...)
		}
	}
	if unconfirmed > 0 {
		hold(b.bound()-waited, "waiting up to %s more for %d of %d processes to bring back what it may lack", unconfirmed, len(app.Leases))
	}
	if lacks {
		hold(b.bound()-waited, "waiting up to %s more for this process to bring back what is its own")
	}
	if len(b.missing) > 0 {
		hold(b.grace()-time.Since(b.lost), "waiting up to %s more for %d of %d processes to return", len(b.missing), len(b.missing)+len(app.Leases))
	}
	if len(b.families) > 0 {
		hold(b.bound()-time.Since(b.lost), "waiting up to %s more for %d metrics to come back", len(b.families))
	}
	if young || stale && len(app.Leases) == 0 { // where nobody lives, nobody brings anything back
		hold(b.grace()-waited, "waiting %s more for processes whose lease was lost to return")
	}
	if trouble.wait != "" {
		return trouble
	}
	if unconfirmed > 0 || lacks {
		r.reg.self.unconfirmed.Inc()
		r.reg.report("unconfirmed", fmt.Errorf("shoal: the page is shown although it may lack something: "+
			"%d of %d processes have not confirmed that all of theirs is there", unconfirmed, len(app.Leases)))
	}
	return nil
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
	if !e.stale && !e.lacks {
		return
	}
	if e.stale {
		w.renewal.Store(true)
	}
	if e.lacks {
		w.lacking.Store(true)
	}
	w.wakeUp()
}
