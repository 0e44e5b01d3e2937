// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// sum is what a metric adds up: a counter's additions since the last drain, a gauge's value, or
// the sum of observations, to which counts belong.
//
// Most sums are all their life one number, home. Cores that write the same cache line wait for
// each other, so a sum to which several cores add all the time is spread over cells: see meet.
//
// To read or set a sum that is spread, all of its cells are locked first. So each reading is
// of one moment: a gauge that goroutines increase and then decrease is never below 0.
type sum struct {
	home   cell                  // locked for ever once there are cells
	cells  atomic.Pointer[cells] // nil unless the sum is spread
	met    atomic.Uint32         // how many additions in that second found home in use
	second atomic.Uint32         // of this process's life
}

// cell is a float64, as its bits, or locked. The lock also guards the cell's counts, which are
// beside it. To add without a count takes no lock, but is one atomic operation.
type cell struct{ bits atomic.Uint64 }

// locked is a NaN that is no cell's number: see bitsOf.
const locked = 0x7FF8_0000_0000_DEAD

// bitsOf returns what a cell holds for v.
func bitsOf(v float64) uint64 {
	bits := math.Float64bits(v)
	if bits == locked {
		bits = math.Float64bits(math.NaN())
	}
	return bits
}

// add adds v, unless the cell is in use.
func (c *cell) add(v float64) bool {
	old := c.bits.Load()
	return old != locked && c.bits.CompareAndSwap(old, bitsOf(math.Float64frombits(old)+v))
}

// set sets the number, unless the cell is in use.
func (c *cell) set(v float64) bool {
	old := c.bits.Load()
	return old != locked && c.bits.CompareAndSwap(old, bitsOf(v))
}

// observe is add, and adds 1 to the count with this index if there are counts.
func (c *cell) observe(v float64, counts []uint64, index int) bool {
	if len(counts) == 0 {
		return c.add(v)
	}
	old, ok := c.lock()
	if ok {
		counts[index]++
		c.unlock(old + v)
	}
	return ok
}

// lock locks the cell and returns its number, unless it is locked.
func (c *cell) lock() (v float64, ok bool) {
	if c.bits.Load() == locked {
		return 0, false
	}
	bits := c.bits.Swap(locked)
	return math.Float64frombits(bits), bits != locked
}

// unlock gives a locked cell its number.
func (c *cell) unlock(v float64) { c.bits.Store(bitsOf(v)) }

// add adds v. The hot paths first try home themselves, which saves a call.
func (s *sum) add(v float64) {
	if !s.home.add(v) {
		s.addContended(v, nil, 0)
	}
}

// observe adds v, and 1 to the count with this index. The counts are those of home, here and
// in the methods below.
func (s *sum) observe(v float64, counts []uint64, index int) {
	if !s.home.observe(v, counts, index) {
		s.addContended(v, counts, index)
	}
}

// addContended adds to a sum whose home is in use, or that is spread. Without counts, index
// means nothing.
func (s *sum) addContended(v float64, counts []uint64, index int) {
	for tries := 0; ; tries++ {
		if cells := s.cells.Load(); cells != nil {
			if cells.observe(v, index) {
				return
			}
		} else {
			if s.home.observe(v, counts, index) {
				return
			}
			if tries == 0 { // a wait for one that lost its processor is one meeting, however long
				s.meet(counts)
			}
		}
		pause(tries)
	}
}

// pause is for a goroutine that waits for a cell. A cell is in use for some nanoseconds, unless
// its user lost its processor just then: let others run in that case.
func pause(tries int) {
	if tries > 10 {
		runtime.Gosched()
	}
}

// set sets the number.
func (s *sum) set(v float64) {
	if !s.home.set(v) {
		s.setContended(v)
	}
}

// setContended sets a sum whose home is in use, or that is spread.
func (s *sum) setContended(v float64) {
	cells, _ := s.lock(nil, nil, same)
	s.unlock(cells, v)
}

// value returns the number.
func (s *sum) value() float64 {
	if bits := s.home.bits.Load(); bits != locked {
		return math.Float64frombits(bits)
	}
	cells, v := s.lock(nil, nil, same)
	s.unlock(cells, v)
	return v
}

// take sets the sum to 0 and returns what it was, kept finite.
func (s *sum) take() float64 { return s.takeCounts(nil, nil) }

// takeCounts is take, and moves the counts into others, which are as many.
func (s *sum) takeCounts(counts, into []uint64) float64 {
	cells, v := s.lock(counts, into, wire.Clamp) // infinities of both signs would add up to NaN
	s.unlock(cells, 0)
	return wire.Clamp(v)
}

// moveSum moves the number and the counts to another sum with as many.
func (s *sum) moveSum(counts []uint64, other *sum, others []uint64) {
	moved := make([]uint64, len(counts))
	v := s.takeCounts(counts, moved)
	other.addCounts(v, others, moved)
}

// addCounts adds v, and moves added to the counts, which are as many.
func (s *sum) addCounts(v float64, counts, added []uint64) {
	cells, old := s.lock(nil, nil, same)
	if cells != nil {
		counts = cells.countsOf(0)
	}
	moveCounts(added, counts)
	s.unlock(cells, old+v)
}

// empty says whether the number and all counts are 0.
func (s *sum) empty(counts []uint64) bool {
	cells, v := s.lock(nil, nil, same)
	defer s.unlock(cells, v)
	if cells == nil {
		return v == 0 && zero(counts)
	}
	for i := range cells.list {
		if !zero(cells.countsOf(i)) {
			return false
		}
	}
	return v == 0
}

// lock locks home, or all cells if the sum is spread; it returns these, and the number: the sum
// of each cell's after do. It moves the counts into others, if any.
func (s *sum) lock(counts, into []uint64, do func(float64) float64) (*cells, float64) {
	for tries := 0; ; tries++ {
		if all := s.cells.Load(); all != nil {
			return all, all.lock(into, do)
		}
		if v, ok := s.home.lock(); ok {
			moveCounts(counts[:len(into)], into)
			return nil, do(v)
		}
		pause(tries)
	}
}

// unlock undoes lock, whose first result it takes, and sets the number.
func (s *sum) unlock(all *cells, v float64) {
	if all != nil {
		all.unlock(v)
	} else {
		s.home.unlock(v)
	}
}

// same returns v.
func same(v float64) float64 { return v }

// moveCounts adds counts to others, and sets them to 0.
func moveCounts(counts, into []uint64) {
	for i, n := range counts {
		into[i] += n
		counts[i] = 0
	}
}

// zero says whether all counts are 0.
func zero(counts []uint64) bool {
	return !slices.ContainsFunc(counts, func(n uint64) bool { return n > 0 })
}
