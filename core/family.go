// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// family is everything that this process has of one metric name.
type family struct {
	reg    *Registry
	def    definition
	writes gaugeWrites // gauges: what their mode does with Set and Add
	bounds []string    // histograms: the stored names of the buckets, +Inf included

	sets  atomic.Pointer[[]*constants] // in the order of declaration; changed under reg.mu
	table table                        // the children of all sets

	mu        sync.Mutex
	waiters   []*waiter // synchronous writes not yet frozen; guarded by mu
	awaited   bool      // it is among reg.awaited; guarded by mu
	deletions deletions // deletions not yet frozen; guarded by mu
	// fresh are the children that no batch has told Redis of, and since when this process
	// holds them, by monotonicNow; guarded by mu.
	fresh map[*series]int64

	out     outbox  // belongs to the writer goroutine
	entered entered // what the writer's backlog has of out; belongs to the writer goroutine
}

// series is one set of label values of a family, embedded in each metric as its
// first field.
//
// A lookup and touch read the first 64 bytes only, a cache line that is hardly ever
// written. What a metric counts comes after series, on the next line, so that two
// cores that write one metric contend for one line only: Inc takes them 9 ns where
// it took 14, Gauge.Set 10 where it took 17.
type series struct {
	consts *constants // the set that it belongs to
	metric any        // the *Counter, *Gauge, ... that embeds this
	values []string   // in the order of the family's label names; parts of field
	hash   uint64
	dirty  atomic.Bool
	state  atomic.Uint32 // gauges only: gaugeUnset, ...

	field    string      // the storage identity
	next     *series     // in the dirty list; written by the goroutine that set dirty
	outside  atomic.Bool // not in the table, or about to leave it: deleted, or the overflow series
	overflow bool        // it is the overflow series
}

// drainer is a metric whose values are added up in Redis.
type drainer interface {
	// drain appends what was gathered since the last time, and forgets it.
	drain(dst []wire.Component) []wire.Component
}

// touch puts the series on the dirty list of its set unless it is there. Call
// it after the write: the writer goroutine clears the flag before it drains,
// so a write that it did not see marks the series again.
func (s *series) touch() {
	if !s.dirty.Load() { // no more than this, so that it is inlined
		s.mark()
	}
}

func (s *series) mark() {
	if !s.dirty.CompareAndSwap(false, true) {
		return
	}
	s.consts.push(s)
	if s.outside.Load() {
		s.consts.staysDirty()
	}
}

// takeDirty empties the dirty lists and calls do for each series on them.
func (f *family) takeDirty(do func(*series)) {
	for _, c := range *f.sets.Load() {
		c.takeDirty(do)
	}
}

// shared says whether Redis has one value of each series for all processes, and not one
// for each process.
func (f *family) shared() bool { return wire.Shared(f.def.kind, string(f.def.mode)) }

// anyDirty says whether a series was written since it was last drained.
func (f *family) anyDirty() bool {
	return slices.ContainsFunc(*f.sets.Load(), (*constants).anyDirty)
}

// hasWork says whether the family has something to send, or somebody waits for it.
func (f *family) hasWork() bool {
	if f.anyDirty() || len(f.out.queue) > 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters) > 0 || f.deletions.len() > 0
}

// newSeries makes a series with its metric, and enters it nowhere. Its values are parts
// of its field, which is a copy.
func (c *constants) newSeries(values []string) *series {
	var s *series
	f := c.fam
	switch f.def.kind {
	case wire.TypeCounter:
		m := new(Counter)
		m.metric, s = m, &m.series
	case wire.TypeGauge:
		m := new(Gauge)
		m.metric, s = m, &m.series
	case wire.TypeSummary:
		m := new(Summary)
		m.metric, s = m, &m.series
	case wire.TypeHistogram:
		m := &Histogram{upper: f.def.upper, counts: make([]uint64, len(f.def.upper)+1)}
		m.metric, s = m, &m.series
	}
	s.consts, s.hash = c, c.hash(values)
	s.field = c.field(values)
	s.values = wire.FieldValues(s.field, c.names)
	return s
}

// expose makes the series known to Redis, so that it shows its 0 before its
// first event. A gauge shows nothing before its first write, unless it is a
// Total, whose sum begins with 0. The zeros of shoal's own metrics are the page's.
func (s *series) expose() {
	d := &s.consts.fam.def
	if !d.cadence.own() && (d.kind != wire.TypeGauge || d.mode == Total) {
		s.touch()
	}
}

// wanted says whether Redis is to have the family: one of shoal's own metrics only from its
// first event on, even if another type took its name meanwhile.
func (f *family) wanted() bool {
	o := &f.out
	return !f.def.cadence.own() || o.generation != "" || o.had != "" || o.refused != nil || f.hasWork()
}

// child returns the series with these label values, which it makes if need be.
// The values are neither kept nor changed.
func (c *constants) child(values []string) (*series, error) {
	f := c.fam
	if s := f.table.get(c.hash(values), values); s != nil {
		return s, nil
	}
	if len(values) != len(c.names) {
		return nil, fmt.Errorf("shoal: %s %q has the %d labels %q and got %d values",
			f.def.kind, f.def.name, len(c.names), c.names, len(values))
	}
	return c.newChild(values), nil
}

// newChild is the slow path of child: it repairs the label values and keeps to
// the family's cap of series. The cap does not refuse the one child of a metric
// without labels, since a program declares few of these.
func (c *constants) newChild(values []string) *series {
	f := c.fam
	own, room := f.repaired(values), f.room()
	if len(own) == 0 {
		room = uncapped
	}
	if held := f.table.get(c.hash(own), own); held != nil {
		return held // it was made, or repaired, before
	}
	if f.table.series.Len() >= room {
		return c.overflowChild()
	}
	s := c.newSeries(own)
	f.hold(s) // before others can write it
	held := f.table.put(s, room)
	if held != s {
		f.release(s)
	}
	if held == nil {
		return c.overflowChild()
	}
	if held == s {
		s.expose()
	}
	return held
}

// uncapped is the cap of a family that has none.
const uncapped = math.MaxInt32

// limit is the cap of series in Redis. There is none before Connect tells it: what has gone to
// the overflow series stays there. Shoal's own metrics have none either: they count what the cap
// does to others, and have few label values.
func (f *family) limit() int {
	if f.def.cadence.own() || !f.reg.limited() {
		return uncapped
	}
	return f.reg.seriesLimit()
}

// room is how many children this process has at most. Where processes share the series, the
// cap is that of Redis. The table may also have children whose series Redis does not have,
// until this process marks them (see flushRun.mark). So it has room for as many again.
func (f *family) room() int {
	if limit := f.limit(); !f.shared() || limit == uncapped {
		return limit
	}
	return 2 * f.limit()
}

// crowded says whether the table is nearly full: three quarters.
func (f *family) crowded() bool {
	return f.table.series.Len() >= max(1, f.room()-f.room()/4)
}

// repaired repairs label values, in a slice of its own. (slices.Clone would put
// that of WithLabelValues's caller on the heap.) See repair.
func (f *family) repaired(values []string) []string {
	own := make([]string, len(values))
	for i, v := range values {
		own[i] = f.repair(v)
	}
	return own
}

// repair returns a label value that every reader can take: valid UTF-8 and of
// bounded length. It may share memory with v, which may be a slice of a buffer
// that a server uses again: copy what you keep.
func (f *family) repair(v string) string {
	if !utf8.ValidString(v) {
		f.reg.reject(reasonInvalidUTF8, f)
		v = strings.ToValidUTF8(v, "\uFFFD")
	}
	if len(v) > maxLabelValue {
		f.reg.reject(reasonLongLabel, f)
		v = cutText(v, maxLabelValue)
	}
	return v
}

// cutText cuts a text, which is valid UTF-8, to limit bytes at most, and between two characters.
func cutText(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// overflowChild returns the series that takes the values of all label sets
// beyond the cap.
func (c *constants) overflowChild() *series {
	f := c.fam
	f.reg.overflowed(f, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.overflow == nil {
		c.overflow = c.newSeries(c.overflowValues())
		c.overflow.outside.Store(true)
		c.overflow.overflow = true
		f.holdFrom(c.overflow, monotonicNow())
	}
	return c.overflow
}

// each calls do for every series of the family in this process.
func (f *family) each(do func(*series)) {
	f.table.series.Each(do)
	for _, c := range *f.sets.Load() {
		f.mu.Lock()
		overflow := c.overflow
		f.mu.Unlock()
		if overflow != nil {
			do(overflow)
		}
	}
}
