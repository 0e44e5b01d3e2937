// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// overlong remembers leases that seem to last for longer than they were given for.
type overlong struct {
	seen map[string]sighting // by writer
}

// sighting tells since when a lease has not been renewed.
type sighting struct {
	deadline time.Time // by Redis's clock
	first    time.Time // by ours
}

// remove takes out of a head the leases whose process must be dead although they
// seem to last. An overlong lease was written before Redis's clock was set back; if
// its process lives, it renews the lease soon. A lease that does not tell how long it
// was given for has the duration lease.
func (o *overlong) remove(head *wire.Head, lease time.Duration) {
	seen := map[string]sighting{}
	dead := map[string]bool{}
	for _, l := range head.App.Leases {
		ttl := cmp.Or(l.TTL, lease)
		s, known := o.seen[l.Writer]
		if known = known && s.deadline.Equal(l.Deadline); !known {
			s = sighting{l.Deadline, time.Now()}
		}
		if known || l.Deadline.Sub(head.App.Now) > ttl {
			seen[l.Writer] = s
			dead[l.Writer] = time.Since(s.first) >= ttl
		}
	}
	o.seen = seen
	if len(dead) == 0 {
		return
	}
	var leases []wire.Lease
	var gauges []wire.GaugesReply
	for i, l := range head.App.Leases {
		if !dead[l.Writer] {
			leases, gauges = append(leases, l), append(gauges, head.Gauges[i])
		}
	}
	head.App.Leases, head.Gauges = leases, gauges
}
