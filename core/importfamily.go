// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/hashtable"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// maxLabelSets bounds how many different sets of label names an imported family has, since each
// flush looks at every one.
const maxLabelSets = 100

// importedFamily is what an importer knows of a family. The importer's mu guards it.
type importedFamily struct {
	*Importer
	fam     *family
	last    *constants // the set of label names of the series at hand, which most series share
	entries hashtable.Table[importedSeries]
	round   uint64 // the last call that gave the family
	given   int    // how many of entries that call gave
	native  bool   // it was reported that its histograms are native ones
}

// importedSeries is a series that an importer was given: a gauge, or a total.
type importedSeries struct {
	set    *constants
	series *series  // nil if this process does not hold it
	values []string // as they were given
	hash   uint64   // of them
	round  uint64   // the last call that gave it
	totals          // those of a counter are its sum
}

// family returns what the importer knows of a family, and declares it if it is new. It returns nil
// for a new one without series.
func (i *Importer) family(family *dto.MetricFamily) (*importedFamily, error) {
	kind := kindOf(family.GetType())
	f := i.families[family.GetName()]
	switch {
	case family == nil || family.GetName() == "":
		return nil, errors.New("the family has no name")
	case kind == "":
		return nil, fmt.Errorf("the type %v can't be imported: use a counter, a gauge, a histogram or a summary", family.GetType())
	case f != nil && f.fam.def.kind == kind:
		return f, nil
	case len(family.GetMetric()) == 0: // a histogram would have no bounds, for ever
		return nil, nil
	}
	d := definition{name: family.GetName(), help: repairedHelp(family.GetHelp()), kind: kind, imported: true}
	switch kind {
	case wire.TypeGauge:
		if d.mode = (*i.mode.Load())(d.name); d.mode == Total {
			return nil, errors.New("a Total gauge can only be added to, and what is imported is set: use another mode")
		}
		if d.mode != Latest {
			d.expire = DefExpire
		}
	case wire.TypeHistogram:
		d.upper = boundsOf(family)
	}
	fam, err := i.reg.declareImported(d)
	if err != nil {
		return nil, err
	}
	f = &importedFamily{Importer: i, fam: fam}
	i.families[d.name] = f
	return f, nil
}

// declareImported returns the family of an imported definition. If another importer has declared
// one with this name, type and mode, it returns that, whose help and bounds stay.
func (r *Registry) declareImported(d definition) (*family, error) {
	if err := d.problem(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.byName[d.name]; f != nil {
		if !f.def.imported || f.def.kind != d.kind || f.def.mode != d.mode {
			return nil, &DefinitionError{Existing: f.def.String(), Requested: d.String()}
		}
		return f, nil
	}
	var entered *family
	err := r.enter(&d, func(f *family) { entered = f })
	return entered, err
}

// repairedHelp returns a help text that every reader accepts. It is repaired and not refused, since
// the program cannot change it.
func repairedHelp(help string) string {
	return cutText(strings.ToValidUTF8(help, "\uFFFD"), wire.MaxHelp)
}

// kindOf is the type as which a metric is imported; empty for one that can't be.
func kindOf(t dto.MetricType) string {
	switch t {
	case dto.MetricType_COUNTER:
		return wire.TypeCounter
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
		return wire.TypeGauge
	case dto.MetricType_SUMMARY:
		return wire.TypeSummary
	case dto.MetricType_HISTOGRAM:
		return wire.TypeHistogram
	}
	return ""
}

// boundsOf returns the bounds of all histograms of a family.
func boundsOf(family *dto.MetricFamily) (upper []float64) {
	for n, metric := range family.GetMetric() {
		buckets := metric.GetHistogram().GetBucket()
		same := n > 0 && len(buckets) >= len(upper)
		for j, b := range buckets {
			bound := b.GetUpperBound()
			if same && j < len(upper) && upper[j] == bound || math.IsNaN(bound) || math.IsInf(bound, 0) {
				continue
			}
			same = false
			upper = append(upper, bound)
		}
		if !same {
			slices.Sort(upper)
			upper = slices.Compact(upper)
		}
	}
	return upper
}

// begin begins a call, unless it has begun for this family: a call may give a family twice.
func (f *importedFamily) begin(round uint64) {
	if f.round != round {
		f.round, f.given = round, 0
	}
}

// set returns the set of children with the label names, and the values parallel to these.
func (f *importedFamily) set(labels []*dto.LabelPair) (*constants, []string, error) {
	if !slices.IsSortedFunc(labels, byName) {
		labels = slices.Clone(labels)
		slices.SortFunc(labels, byName)
	}
	f.values = f.values[:0]
	for _, l := range labels {
		f.values = append(f.values, l.GetValue())
	}
	if f.last != nil && f.last.hasNames(labels) {
		return f.last, f.values, nil
	}
	names := make([]string, len(labels))
	for n, l := range labels {
		names[n] = l.GetName()
	}
	c, err := f.fam.setWithNames(names)
	if err == nil {
		f.last = c
	}
	return c, f.values, err
}

func byName(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) }

// hasNames says whether the set's label names are those of labels, in their order.
func (c *constants) hasNames(labels []*dto.LabelPair) bool {
	if len(c.names) != len(labels) {
		return false
	}
	for n, l := range labels {
		if c.names[n] != l.GetName() {
			return false
		}
	}
	return true
}

// setWithNames returns the set of an imported family with these label names, which are sorted. It
// adds one if need be.
func (f *family) setWithNames(names []string) (*constants, error) {
	f.reg.mu.Lock()
	defer f.reg.mu.Unlock()
	sets := *f.sets.Load()
	for _, c := range sets {
		if slices.Equal(c.names, names) {
			return c, nil
		}
	}
	d := f.def
	d.labelNames = names
	if err := d.problem(); err != nil {
		return nil, err
	}
	if len(sets) >= maxLabelSets {
		return nil, fmt.Errorf("a family has at most %d sets of label names, and %q would be one more", maxLabelSets, names)
	}
	return f.addSet(&d), nil
}

// entry returns the series with these label values, a new one if need be. It is an error if this
// call has given the series already.
func (f *importedFamily) entry(set *constants, values []string) (*importedSeries, error) {
	hash := set.hash(values)
	for p := f.entries.Probe(hash); ; {
		e := p.Next()
		if e == nil {
			break
		}
		if e.hash != hash || e.set != set || !slices.Equal(e.values, values) {
			continue
		}
		if e.round == f.round {
			return nil, fmt.Errorf("the series with the labels %q = %q is given twice: the first one counts", set.names, values)
		}
		e.round = f.round
		f.given++
		return e, nil
	}
	e := &importedSeries{set: set, hash: hash, round: f.round}
	e.values = f.hold(e, values).values
	if !slices.Equal(e.values, values) { // they were repaired, or are those of the overflow series
		e.values = slices.Clone(values)
	}
	f.entries.Insert(e, func(e *importedSeries) uint64 { return e.hash })
	f.given++
	return e, nil
}

// hold returns the child for a series, or the overflow series if the cap is reached.
func (f *importedFamily) hold(e *importedSeries, values []string) *series {
	if e.series == nil || e.series.overflow {
		e.series, _ = e.set.child(values) // fails for a wrong number of values only
	}
	return e.series
}

// missingFor is how long a source has to fail until what it does not give is taken for gone.
const missingFor = time.Minute

// forgetGone deletes the gauges that this call has not given. This process no longer holds the
// counters that it has not given, but what was counted of them is kept: a client may give a series
// again that it did not give for a while, and go on with its value. Unless the call gave all there is
// (whole), this is done only to what the failing source has not given for missingFor. In any case no more
// series are kept than a family may have.
func (f *importedFamily) forgetGone(whole, closing bool) {
	limit := f.reg.seriesLimit()
	many := f.entries.Len() > limit
	var kept []*importedSeries
	f.entries.Each(func(e *importedSeries) {
		keep := false
		switch {
		case e.round == f.round:
		case !whole && time.Duration(f.read-max(e.read, f.failing)) < missingFor:
			keep = true
		case f.fam.def.kind == wire.TypeGauge:
			f.forget(e, closing)
		default:
			keep = e.letGo()
		}
		if keep && many {
			kept = append(kept, e)
		}
	})
	if len(kept) > limit {
		slices.SortFunc(kept, func(a, b *importedSeries) int { return cmp.Compare(a.round, b.round) })
		for _, e := range kept[:len(kept)-limit/2] {
			f.forget(e, closing)
		}
	}
}

// forget forgets a series. It deletes a gauge, but one of the mode Latest, which belongs to no
// process, stays when the importer is closed. A counter that has something to send is left to the next call.
func (f *importedFamily) forget(e *importedSeries, closing bool) {
	switch {
	case f.fam.def.kind != wire.TypeGauge:
		if !e.letGo() {
			return
		}
	case !closing || f.fam.def.mode != Latest:
		e.set.delete(e.values)
	}
	f.entries.Remove(e, e.hash)
}

// letGo takes a child out of the table when it has nothing to send, and reports whether it did. It
// does so again with the next call if a flush has just put the child back.
func (e *importedSeries) letGo() bool {
	s := e.series
	switch {
	case s == nil:
	case s.outside.Load() || len(s.values) == 0: // the one child without labels stays
		e.series = nil
	case s.dirty.Load():
		return false
	default:
		s.consts.fam.table.remove(s.hash, s.values)
		s.consts.fam.release(s)
	}
	return true
}
