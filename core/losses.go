// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Why batches were lost: the label of shoal_lost_batches_total.
const (
	lostRollback = "rollback" // the store stepped back beyond what was kept
	lostWiped    = "wiped"    // the store was emptied: what it had is gone with it
	lostOrphan   = "orphan"   // the sequence numbers were lost and these were in doubt
	lostExpired  = "expired"  // in doubt for more than a day
)

var lossReasons = []string{lostRollback, lostWiped, lostOrphan, lostExpired}

func (o *outbox) lose(reason string, n uint64) {
	if n == 0 {
		return
	}
	if o.lost == nil {
		o.lost = map[string]int{}
	}
	o.lost[reason] += int(n)
}

// lossText tells that this many batches of these metrics were lost.
func lossText(reason string, batches int, names []string) string {
	const most = 5
	slices.Sort(names)
	text := fmt.Sprintf("shoal: lost (%s): %d batches of %s", reason, batches, strings.Join(names[:min(most, len(names))], ", "))
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more metrics", more)
	}
	return text
}

// counted says whether the batch added anything. Zeros only show that a series is
// there; deletions and values of Latest gauges are not lost with what an emptied
// store had: there is nothing to delete, and the values are set again.
func (b *batch) counted() bool {
	return slices.ContainsFunc(b.ops, func(op wire.Op) bool {
		if op.Kind != wire.OpAdd {
			return false
		}
		vector, err := wire.ParseVector(nil, op.Value)
		return err != nil || slices.ContainsFunc(vector, func(c wire.Component) bool { return c.Value != 0 })
	})
}
