// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"testing"
	"time"
)

// The clock of the store was set back. What was renewed before seems to last longest.
func TestOneOfEach_KeepsTheLeaseThatWasRenewedLast(t *testing.T) {
	now := time.UnixMilli(1795891714000)
	lasting := func(index int, left time.Duration) Lease {
		return Lease{Index: index, Writer: "a", Deadline: now.Add(left), TTL: 15 * time.Second}
	}
	untold := lasting(4, time.Hour)
	untold.TTL = 0 // of a client that does not tell it
	for name, test := range map[string]struct {
		leases []Lease
		want   int // index
	}{
		"the later deadline":                   {[]Lease{lasting(1, time.Second), lasting(2, 10*time.Second), lasting(3, 5*time.Second)}, 2},
		"one from before the clock's step":     {[]Lease{lasting(1, time.Hour), lasting(2, 10*time.Second), lasting(3, time.Hour)}, 2},
		"only those from before":               {[]Lease{lasting(1, time.Hour), lasting(2, 2*time.Hour)}, 2},
		"the whole time is not too long":       {[]Lease{lasting(1, 15*time.Second), lasting(2, 14*time.Second)}, 1},
		"one that does not tell what it lasts": {[]Lease{lasting(1, 15*time.Second), untold}, 4},
	} {
		other := Lease{Index: 0, Writer: "b", Deadline: now.Add(time.Second)}
		for range 2 { // in either order
			leases := append([]Lease{other}, test.leases...)
			got := OneOfEach(leases, now)
			if len(got) != 2 || got[0].Writer != "b" || got[1].Index != test.want {
				t.Errorf("%s: %s, want the index %d", name, fmt.Sprint(got), test.want)
			}
			for i, k := 0, len(test.leases)-1; i < k; i, k = i+1, k-1 {
				test.leases[i], test.leases[k] = test.leases[k], test.leases[i]
			}
		}
	}
}
