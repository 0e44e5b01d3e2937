// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// delta is what was added to a counter or a Total gauge since the last drain:
// in whole the whole numbers, so that Inc is a single atomic add, and in rest all
// others, as the bits of a float64.
type delta struct {
	whole atomic.Int64
	rest  atomic.Uint64
}

// maxWhole bounds what is added to whole at once, so that whole does not overflow
// however long a process lives.
const maxWhole = 1 << 31

// gather adds v, which is finite.
func (d *delta) gather(v float64) {
	if n := int64(v); float64(n) == v && -maxWhole <= n && n <= maxWhole {
		d.whole.Add(n)
	} else {
		addFloat(&d.rest, v)
	}
}

// empty says whether nothing was added since the last drain.
func (d *delta) empty() bool { return d.whole.Load() == 0 && d.rest.Load() == 0 }

// take forgets what was added and returns it.
func (d *delta) take() float64 {
	return wire.Clamp(float64(d.whole.Swap(0)) + math.Float64frombits(d.rest.Swap(0)))
}

// addFloat adds v to a float64 that is stored as bits.
func addFloat(bits *atomic.Uint64, v float64) {
	for {
		old := bits.Load()
		if bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}
