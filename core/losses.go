// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"strings"
)

// Why batches were lost: the label of shoal_lost_batches_total.
const (
	lostRollback = "rollback" // Redis stepped back beyond what was kept
	lostWiped    = "wiped"    // Redis was emptied, and lost what it had acknowledged
	lostOrphan   = "orphan"   // in doubt when Redis lost the sequence numbers
	lostExpired  = "expired"  // in doubt for more than a day
)

var lossReasons = []string{lostRollback, lostWiped, lostOrphan, lostExpired}

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
