// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// marks tell of each series of a family when it began, and when a process held it last.
type marks struct {
	generation string
	of         map[string]mark // by field
}

type mark struct {
	start int64 // in microseconds; 0 if it is not known
	epoch int   // in which it was held last
}

// How old marks are, in epochs; see idle-3.lua.
const (
	shortestEpoch = time.Minute
	oldAge        = 9   // eight whole epochs have passed since
	laterAge      = 128 // no mark gets so old: it is of an epoch later than the present
	epochs        = 256 // after so many, the numbers in marks begin anew
)

// passEpoch begins the next epoch if an eighth of the retention has passed. A start in the
// future was written before the clock was set back.
func (c *control) passEpoch(now time.Time) string {
	since, retention := now.Unix()-c.epochBegan.Unix(), c.definition.Retention
	if over := retention > 0 && time.Duration(since)*time.Second >= max(shortestEpoch, retention/8); over {
		c.epoch++
		c.epochBegan = now
	} else if since < 0 {
		c.epochBegan = now
	}
	return strconv.Itoa(c.epoch)
}

// lastRemoval is when the last removal of a series was asked for, in microseconds; 0 if there
// was none.
func (c *control) lastRemoval() int64 {
	if c.removed.IsZero() {
		return 0
	}
	return c.removed.UnixMicro()
}

// removal is a text that differs for each removal of series; see the field removed of ctl.
func (c *control) removal() string {
	if c.removed.IsZero() {
		return "0"
	}
	return fmt.Sprint(c.removed.UnixMicro(), c.removedAt.UnixMicro())
}

// marksOf returns the marks if they are of this generation; else nil. Those of another one
// count as none, and none can be set until a process registers the family.
func (f *family) marksOf(generation string) *marks {
	if f == nil || f.marks == nil || f.marks.generation != generation {
		return nil
	}
	return f.marks
}

func newMarks(generation string) *marks { return &marks{generation, map[string]mark{}} }

func (m *marks) get(field string) (mark, bool) {
	if m == nil {
		return mark{}, false
	}
	one, ok := m.of[field]
	return one, ok
}

func (m *marks) set(field string, one mark) {
	if m != nil {
		m.of[field] = one
	}
}

func (m *marks) remove(field string) {
	if m != nil {
		delete(m.of, field)
	}
}

// noteRemoval notes that a batch removed series, and when that was asked for, if the batch tells.
func (c *control) noteRemoval(batch wire.Commit, now int64) {
	asked := int64(0)
	for _, op := range batch.Ops {
		if op.Kind == wire.OpDelete || op.Kind == wire.OpClear {
			asked = max(asked, op.Born)
		}
	}
	if asked == 0 {
		asked = now
	}
	c.removed, c.removedAt = time.UnixMicro(min(now, max(asked, c.lastRemoval()))), time.UnixMicro(now)
}

// noteBatch brings the marks up to date after a batch. It returns the fields of series that
// turned out to have begun earlier.
func (f *family) noteBatch(d *draft, c wire.Commit, now time.Time) (earlier []string) {
	control, stamp := f.control, now.UnixMicro()
	if len(d.went) > 0 {
		control.noteRemoval(c, stamp)
	}
	born := map[string]int64{}
	for i, op := range c.Ops {
		if field := d.took[i]; op.Born > 0 && d.tookOp[i] {
			if at, ok := born[field]; !ok || op.Born < at {
				born[field] = min(op.Born, stamp)
			}
		}
	}
	if !d.cleared && len(d.came) == 0 && len(d.went) == 0 && len(born) == 0 {
		return nil
	}
	if d.cleared {
		f.marks = newMarks(control.generation)
	}
	last := min(control.lastRemoval(), stamp)
	if c.Again { // what it brings back had begun earlier
		last = 0
	}
	m := f.marksOf(control.generation)
	for _, field := range d.went {
		m.remove(field)
	}
	for _, field := range d.came {
		began, ok := born[field]
		if !ok {
			began = min(control.created.UnixMicro(), stamp)
		}
		m.set(field, mark{max(began, last), control.epoch})
	}
	for field, at := range born {
		one, _ := m.get(field)
		if began := max(at, last); one.start > began {
			one.start = began
			earlier = append(earlier, field)
		}
		m.set(field, mark{one.start, control.epoch})
	}
	return earlier
}

func (a *app) mark(m wire.Mark) wire.MarkReply {
	f := a.families[m.Family]
	if !f.whole() || f.control.generation != m.Generation || f.control.writers[m.Writer].last < m.Last {
		return wire.MarkReply{Unknown: true}
	}
	var reply wire.MarkReply
	stored := f.marksOf(m.Generation)
	for i, field := range m.Fields {
		if _, there := f.values.series[field]; !there {
			stored.remove(field)
			reply.Gone = append(reply.Gone, i)
			continue
		}
		one, _ := stored.get(field)
		stored.set(field, mark{one.start, f.control.epoch})
	}
	return reply
}

// removeIdle removes the series that no process has held for the retention, and the values
// of latest gauges that have expired.
func (f *family) removeIdle(now time.Time, large int) wire.Removed {
	var whole wire.Sweep
	for !whole.Done {
		f.sweep(&whole, now, large)
	}
	return whole.Removed
}

// sweepSlice is how many series a slice of a sweep has.
const sweepSlice = 8

// sweep is removeIdle for the next slice.
func (f *family) sweep(s *wire.Sweep, now time.Time, large int) {
	s.Done = true
	if !f.whole() {
		return
	}
	fields := slices.Sorted(maps.Keys(f.values.series))
	from, _ := slices.BinarySearch(fields, s.Cursor)
	fields = fields[from:]
	if len(fields) > sweepSlice {
		s.Done, s.Cursor, fields = false, fields[sweepSlice], fields[:sweepSlice]
	}
	if s.Epoch == "" {
		s.Epoch = strconv.Itoa(f.control.epoch)
	}
	removed := f.removeIdleOf(fields, now, large)
	s.Idle += removed.Idle
	s.Expired += removed.Expired
	if s.Done {
		f.control.swept, _ = strconv.Atoi(s.Epoch)
	}
}

func (f *family) removeIdleOf(fields []string, now time.Time, large int) (removed wire.Removed) {
	control, m := f.control, f.marksOf(f.control.generation)
	logged, gone := len(f.values.series) > large, []string(nil)
	for _, field := range fields {
		text := f.values.series[field]
		one, marked := m.get(field)
		age := ((control.epoch-one.epoch)%epochs + epochs) % epochs
		_, _, deadline, ok := stamped(text)
		switch {
		case control.definition.Latest() && ok && deadline > 0 && deadline <= now.UnixMicro():
			removed.Expired++
		case control.definition.Retention > 0 && marked && age >= oldAge && age < laterAge:
			removed.Idle++
		default:
			if !marked || age >= laterAge {
				m.set(field, mark{one.start, control.epoch})
			}
			continue
		}
		delete(f.values.series, field)
		m.remove(field)
		gone = append(gone, field)
	}
	if removed != (wire.Removed{}) {
		control.removed, control.removedAt = now, now
		control.seriesChange(now, logged, gone)
	}
	return removed
}

func (f *family) starts(q wire.StartsQuery) []int64 {
	starts := make([]int64, len(q.Fields))
	m := f.marksOf(q.Generation)
	for i, field := range q.Fields {
		one, _ := m.get(field)
		starts[i] = one.start
	}
	return starts
}
