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

// family is what Redis has in the three keys of a family. Each key has the generation in it,
// since any of them may be lost.
type family struct {
	control *control // nil if that key is missing
	values  *values  // nil if that key is missing
	marks   *marks   // nil if that key is missing
}

type control struct {
	generation string
	orphan     bool
	created    time.Time
	written    time.Time
	version    version          // of the set of series and their starts
	changes    map[uint64]entry // the log of changes, by their counts modulo wire.ChangesKept
	born       int64            // when the process started whose definition is kept
	definition wire.Definition
	epoch      int
	epochBegan time.Time
	swept      int       // the epoch in which housekeeping looked for idle series last
	removed    time.Time // when the last removal of a series was asked for; zero if there was none
	removedAt  time.Time // when it took place
	writers    map[string]progress
	resetting  map[string]uint64 // by writer: the batch with a late Reset that it was told is unfinished
}

// progress is the number of a writer's newest batch, and its stamp.
type progress struct {
	last  uint64
	stamp time.Time
}

type values struct {
	generation string
	series     map[string]string // text by field
}

// whole says whether the family is registered and both its keys agree.
func (f *family) whole() bool {
	return f != nil && f.control != nil && f.values != nil &&
		f.control.generation == f.values.generation
}

func (a *app) register(r wire.Registration, now time.Time) wire.RegisterReply {
	f := a.families[r.Family]
	if f == nil {
		f = &family{}
		a.families[r.Family] = f
	}
	if f.control != nil && f.control.definition.Type != r.Type {
		return wire.RegisterReply{Clash: f.control.definition.Type}
	}
	if !f.whole() {
		orphan := f.values != nil
		generation := r.Nonce + "-" + strconv.FormatInt(now.UnixMicro(), 10)
		f.control = &control{
			generation: generation,
			orphan:     orphan,
			created:    now,
			epochBegan: now,
			swept:      -1,
			changes:    make(map[uint64]entry),
			writers:    make(map[string]progress),
			resetting:  make(map[string]uint64),
		}
		if !orphan {
			f.values = &values{series: make(map[string]string)}
		}
		f.values.generation = generation
	}
	if f.marksOf(f.control.generation) == nil {
		f.marks = newMarks(f.control.generation)
	}
	c := f.control
	if c.definition.Type == "" || replaces(r.Born, c.born, now.UnixMicro()) {
		c.born = r.Born
		c.definition = r.Definition
		c.definition.Bounds = slices.Clone(r.Bounds)
	}
	c.written = now
	if p, ok := c.writers[r.Writer]; ok { // housekeeping must not remove the number of an idle writer
		c.writers[r.Writer] = progress{p.last, now}
	}
	return wire.RegisterReply{
		Generation: c.generation,
		Orphan:     c.orphan,
		Last:       c.writers[r.Writer].last,
		Epoch:      c.passEpoch(now),
		Removed:    c.removal(),
	}
}

// replaces says whether the definition of a process that started at born replaces that of
// another one. A time in the future was written before the clock was set back, and loses
// against any other.
func replaces(born, other, now int64) bool {
	if believed := born <= now; believed != (other <= now) {
		return believed
	}
	return born >= other
}

// commit checks the states in the protocol's order.
func (a *app) commit(c wire.Commit, now time.Time) (wire.CommitReply, error) {
	f := a.families[c.Family]
	if !f.whole() || f.control.generation != c.Generation {
		return wire.CommitReply{Status: wire.CommitUnknown}, nil
	}
	control := f.control
	last := control.writers[c.Writer].last
	switch {
	case last >= c.Seq:
		control.writers[c.Writer] = progress{last, now}
		control.written = now
		reply := wire.CommitReply{Status: wire.CommitDuplicate, Last: last}
		if c.Totals {
			reply.Totals = f.values.totals(c)
		}
		return reply, nil
	case last != c.Prev:
		return wire.CommitReply{Status: wire.CommitGap, Last: last}, nil
	}

	if control.begins(c, now) {
		return wire.CommitReply{Status: wire.CommitUnfinished}, nil
	}
	d := newDraft(f.values.series, f.marksOf(c.Generation), now)
	for _, op := range c.Ops {
		if err := d.apply(op, c.Limit, c.Overflow); err != nil {
			return wire.CommitReply{}, err // before the first write, as in the script
		}
	}
	control.writers[c.Writer] = progress{c.Seq, now}
	control.written = now
	logged := !d.cleared && len(f.values.series) > a.large
	changed := d.store(f.values.series)
	if earlier := f.noteBatch(d, c, now); changed || len(earlier) > 0 {
		control.seriesChange(now, logged, slices.Concat(d.went, d.came, earlier))
	}
	reply := wire.CommitReply{
		Status:     wire.CommitOK,
		Last:       c.Seq,
		Corrupt:    d.corrupt,
		Overflowed: d.overflowed,
		Removed:    len(d.went),
	}
	if c.Totals {
		reply.Totals = d.totals(c.Ops)
	}
	return reply, nil
}

// begins says whether a batch has a late Reset that was not sent before. Of such a one Redis does a
// part with each call; here the first call does nothing, and the second one all.
func (c *control) begins(batch wire.Commit, now time.Time) bool {
	late := func(op wire.Op) bool { return op.Kind == wire.OpClear && isLate(op.Born, now.UnixMicro()) }
	if !slices.ContainsFunc(batch.Ops, late) || c.resetting[batch.Writer] == batch.Seq {
		return false
	}
	c.resetting[batch.Writer] = batch.Seq
	return true
}

// totals returns the present text of the series that took each op of a batch that was
// applied before. If the field of an op is not there, the overflow series took the op.
func (v *values) totals(c wire.Commit) []string {
	totals := make([]string, len(c.Ops))
	for i, op := range c.Ops {
		if op.Kind != wire.OpAdd && op.Kind != wire.OpLatest {
			continue
		}
		text, ok := v.series[op.Field]
		if !ok && c.Limit > 0 && len(v.series) >= c.Limit {
			text = v.series[c.Overflow]
		}
		totals[i] = text
	}
	return totals
}

func (f *family) state(name string) wire.FamilyState {
	if f == nil || f.control == nil {
		return wire.FamilyState{Err: fmt.Errorf("family %s: %w", name, wire.ErrUnregistered)}
	}
	if !f.whole() {
		return wire.FamilyState{Err: fmt.Errorf("family %s: its registration and its values do not belong together", name)}
	}
	c := f.control
	state := wire.FamilyState{
		Generation:    c.generation,
		SeriesVersion: c.generation + " " + c.version.String(),
		Created:       c.created.UnixMicro(),
		Definition:    c.definition,
	}
	state.Bounds, state.Retention = nil, 0
	switch c.definition.Type { // a reader gets only what the type uses
	case wire.TypeHistogram:
		state.Mode, state.Bounds = "", slices.Clone(c.definition.Bounds)
	case wire.TypeCounter, wire.TypeSummary:
		state.Mode = ""
	}
	return state
}

// valuesGeneration is the generation in the key of the values, empty if that is missing.
func (f *family) valuesGeneration() string {
	if f == nil || f.values == nil {
		return ""
	}
	return f.values.generation
}

func (f *family) read(fields []string) []wire.SeriesValue {
	found := make([]wire.SeriesValue, len(fields))
	if f == nil || f.values == nil {
		return found
	}
	for i, field := range fields {
		text, ok := f.values.series[field]
		found[i] = wire.SeriesValue{Text: readable(text), Found: ok}
	}
	return found
}

func (f *family) scan() []wire.Series {
	if f == nil || f.values == nil {
		return nil
	}
	series := make([]wire.Series, 0, len(f.values.series))
	for _, field := range slices.Sorted(maps.Keys(f.values.series)) {
		series = append(series, wire.Series{Field: readable(field), Text: readable(f.values.series[field])})
	}
	return series
}

// readable is what a reader gets of a stored text.
func readable(text string) string {
	if len(text) > wire.MaxText {
		return wire.Overlong
	}
	return text
}
