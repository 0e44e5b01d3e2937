// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// emptied notices that Redis lost everything that it had of an app, by comparing
// readings. The last reading tells for which processes and families to wait.
type emptied struct {
	last     wire.Head       // without gauges
	at       time.Time       // when everything was lost
	missing  map[string]bool // writers that were alive before the loss and have not returned
	families map[string]bool // families that were there before the loss and are not back
}

// notice compares a reading with the last one, and says whether everything was lost
// in between. Then the processes that were alive are missing. If they still have their
// leases, these do not tell whether the processes have verified their families, so the
// families are missing. A process that is not back within grace, and a family that is
// not back within bound, has gone for good.
func (e *emptied) notice(head wire.Head, grace, bound time.Duration) (lost bool) {
	last, leasesGone := e.last, e.leasesGone(head)
	e.last = wire.Head{App: head.App, States: head.States}
	familiesGone := slices.ContainsFunc(last.States, isRegistered) && !slices.ContainsFunc(head.States, func(s wire.FamilyState) bool {
		return isRegistered(s) && slices.ContainsFunc(last.States, func(old wire.FamilyState) bool { return old.Generation == s.Generation })
	})
	if lost = leasesGone || familiesGone; lost {
		e.at = time.Now()
		if familiesGone {
			e.at = e.at.Add(-sinceLoss(head))
		}
		if e.missing == nil {
			e.missing = map[string]bool{}
		}
		for _, l := range last.App.Leases {
			e.missing[l.Writer] = true
		}
	}
	returned := false
	for _, l := range head.App.Leases {
		returned = returned || e.missing[l.Writer]
		delete(e.missing, l.Writer)
	}
	if familiesGone && !leasesGone && returned {
		e.families = map[string]bool{}
		for i, s := range last.States {
			if isRegistered(s) {
				e.families[last.App.Families[i]] = true
			}
		}
	}
	for i, s := range head.States {
		if isRegistered(s) {
			delete(e.families, head.App.Families[i])
		}
	}
	past := time.Since(e.at)
	if past >= grace {
		e.missing = nil
	}
	if past >= bound {
		e.families = nil
	}
	return lost
}

// leasesGone says whether the leases were lost, with the record of the lineage.
func (e *emptied) leasesGone(head wire.Head) bool {
	return e.last.App.Lineage != "" && head.App.Lineage == ""
}

func isRegistered(s wire.FamilyState) bool { return s.Generation != "" }

// sinceLoss is how long ago everything was lost at least: the age of the oldest family,
// since all were registered after the loss.
func sinceLoss(head wire.Head) (age time.Duration) {
	for _, s := range head.States {
		if isRegistered(s) && s.Err == nil {
			age = max(age, head.App.Now.Sub(time.UnixMicro(s.Created)))
		}
	}
	return age
}
