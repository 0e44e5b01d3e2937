// SPDX-License-Identifier: Apache-2.0

package shoal

import "runtime"

// cells are the parts of a sum that is spread, as many as goroutines could run at once. A
// goroutine finds a cell by the token of the P (the runtime's processor) that it runs on.
type cells struct {
	list   []lineCell
	n      int      // how many counts a cell has
	counts []uint64 // those of all cells, in whole cache lines for each; nil if few has room
}

// lineCell is a cell that fills a cache line.
type lineCell struct {
	cell
	few [7]uint64 // the cell's counts if they are so few; guarded by its lock
}

// newCells returns cells, each with n counts.
func newCells(cores, n int) *cells {
	c := &cells{list: make([]lineCell, cores), n: n}
	if n > len(c.list[0].few) {
		c.counts = make([]uint64, cores*c.stride())
	}
	return c
}

// stride is n, rounded up to a whole number of cache lines.
func (c *cells) stride() int { return (c.n + 7) &^ 7 }

// countsOf returns the counts of a cell.
func (c *cells) countsOf(i int) []uint64 {
	if c.counts == nil {
		return c.list[i].few[:c.n]
	}
	return c.counts[i*c.stride():][:c.n]
}

// observe adds to the cell of this P, or to another one if that is in use: see cell.observe.
// It fails if all are in use.
func (c *cells) observe(v float64, index int) (ok bool) {
	t := takeToken()
	for tries := 0; !ok && tries < len(c.list); tries++ {
		i := (t.number + tries) % len(c.list)
		ok = c.list[i].observe(v, c.countsOf(i), index)
	}
	t.putBack()
	return ok
}

// lock locks all cells and returns their sum: see sum.lock.
func (c *cells) lock(into []uint64, do func(float64) float64) (v float64) {
	for i := range c.list {
		part, ok := c.list[i].lock()
		for tries := 0; !ok; tries++ {
			pause(tries)
			part, ok = c.list[i].lock()
		}
		v += do(part)
		if into != nil {
			moveCounts(c.countsOf(i), into)
		}
	}
	return v
}

// unlock unlocks all cells, whose sum is then v.
func (c *cells) unlock(v float64) {
	for i := range c.list {
		c.list[i].unlock(v)
		v = 0
	}
}

// manyMeetings is how many additions in a second find a sum's home in use before it is spread.
// These are a small part of those that wait for its cache line: two cores that added to a gauge
// 100,000 times a second met 3 to 6 times, at 1,000,000 a second 20 to 200 times. Observations
// meet more often, as they take a lock.
const manyMeetings = 10

// meet notes that an addition found home in use. It spreads the sum if many did in this second.
func (s *sum) meet(counts []uint64) {
	if now := uint32(monotonicNow() / 1e9); s.second.Load() != now {
		s.second.Store(now)
		s.met.Store(0)
	}
	if s.met.Add(1) < manyMeetings {
		return
	}
	if cores := runtime.GOMAXPROCS(0); cores > 1 {
		s.spread(cores, counts)
	}
}

// spread gives the sum its cells, and what home has to the first of them. Home stays locked, so
// that whoever looks there goes on to the cells. They stay as long as the series: where cores
// met so often, they will again.
func (s *sum) spread(cores int, counts []uint64) {
	cells := newCells(cores, len(counts))
	for tries := 0; s.cells.Load() == nil; tries++ {
		if v, ok := s.home.lock(); ok {
			moveCounts(counts, cells.countsOf(0))
			cells.list[0].unlock(v)
			s.cells.Store(cells)
			return
		}
		pause(tries)
	}
}
