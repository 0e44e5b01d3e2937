// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	errTotal     = errors.New("a Total among the gauges of a process")
	errNoNumber  = errors.New("not a number")
	errNoLatest  = errors.New("not that of a Latest gauge")
	errSameGauge = errors.New("another gauge of this process means the same labels")
)

// gaugeSample is one gauge of one living process.
type gaugeSample struct {
	field  string // with the family, as stored
	labels []wire.Label
	index  int
	value  float64
}

// gaugeSamples are those of one family.
type gaugeSamples struct {
	list []gaugeSample
	text int // how long they are as text, without what escaping adds
}

// addGauges takes in the gauges of a living process.
func (b *builder) addGauges(lease wire.Lease, reply wire.GaugesReply) {
	if reply.Err == nil {
		b.read = append(b.read, lease.Index)
	}
	for _, e := range reply.Entries {
		if b.ended() {
			return
		}
		family, field := wire.SplitGaugeField(e.Field)
		labels, err := pageLabels(wire.TypeGauge, field)
		if err == nil && wire.IsTotal(field) {
			err = &wire.StoredError{What: "gauge", Text: e.Field, Why: errTotal}
		}
		if err != nil {
			b.observer.OmittedValues(family, 1, err)
			continue
		}
		value, err := strconv.ParseFloat(e.Text, 64)
		if err != nil {
			b.observer.OmittedValues(family, 1, &wire.StoredError{What: "gauge", Text: e.Field, Part: e.Text, Why: errNoNumber})
			continue
		}
		g := b.gauges[family]
		if g == nil {
			g = &gaugeSamples{}
			b.gauges[family] = g
		}
		g.list = append(g.list, gaugeSample{e.Field, labels, lease.Index, value})
		g.text += labelLength(e.Field) + len(`,gauge_index="",{} `) + 2*longestNumber
	}
}

// addGaugeRows adds the gauges of a family, each process's by itself or folded, as
// the registered mode says.
func (b *builder) addGaugeRows(shown *shownFamily, mode string) {
	var samples []gaugeSample
	if g := b.gauges[shown.name]; g != nil {
		samples = g.list
	}
	slices.SortFunc(samples, func(x, y gaugeSample) int {
		return cmp.Or(compareLabels(x.labels, y.labels), cmp.Compare(x.index, y.index),
			cmp.Compare(len(x.field), len(y.field)), cmp.Compare(x.field, y.field))
	})
	// Of two fields that mean the same gauge, the shorter is the one that shoal writes:
	// it has no label without a value.
	samples = slices.CompactFunc(samples, func(x, y gaugeSample) bool {
		same := x.index == y.index && compareLabels(x.labels, y.labels) == 0
		if same {
			b.observer.OmittedValues(shown.name, 1, &wire.StoredError{What: "gauge", Text: y.field, Why: errSameGauge})
		}
		return same
	})
	shown.labels = &labelSets{}
	for len(samples) > 0 && !b.ended() {
		n := 1
		for n < len(samples) && compareLabels(samples[0].labels, samples[n].labels) == 0 {
			n++
		}
		switch mode {
		case wire.ModeSum, wire.ModeMax, wire.ModeMin, wire.ModeAvg:
			shown.addLabelled(samples[0].labels, fold(mode, samples[:n]))
		default:
			shown.perProcess = true
			for _, s := range samples[:n] {
				shown.addLabelled(withIndex(s.labels, s.index), s.value)
			}
		}
		samples = samples[n:]
	}
}

// fold makes one value of those of several processes. It skips NaN; if all are NaN,
// so is the result.
func fold(mode string, samples []gaugeSample) float64 {
	result, n := math.NaN(), 0
	for _, s := range samples {
		switch {
		case math.IsNaN(s.value):
			continue
		case n == 0:
			result = s.value
		case mode == wire.ModeMax:
			result = max(result, s.value)
		case mode == wire.ModeMin:
			result = min(result, s.value)
		default:
			result += s.value
		}
		n++
	}
	if mode == wire.ModeAvg && n > 0 {
		result /= float64(n)
	}
	return result
}

const indexLabel = "gauge_index"

// withIndex adds the label gauge_index in its place.
func withIndex(labels []wire.Label, index int) []wire.Label {
	l := wire.Label{Name: indexLabel, Value: strconv.Itoa(index)}
	at, _ := slices.BinarySearchFunc(labels, l.Name, func(l wire.Label, name string) int {
		return cmp.Compare(l.Name, name)
	})
	return slices.Insert(slices.Clone(labels), at, l)
}

// addLatestRows adds gauges that belong to no process: for each label set, the
// newest of the values whose deadline has not passed.
func (b *builder) addLatestRows(shown *shownFamily, f *storedFamily) {
	shown.labels = f.series.labels
	newest, same := int64(math.MinInt64), false // same: the last row has these labels
	for i, v := range f.values {
		if b.ended() {
			return
		}
		same = same && f.series.sameAsNext(i-1)
		if !v.Found || !f.shows(i) {
			continue
		}
		value, stamp, deadline, err := parseLatest(v.Text)
		if err != nil {
			b.observer.OmittedValues(f.name, 1, err)
			continue
		}
		if deadline != 0 && deadline <= b.app.Now.UnixMicro() {
			continue
		}
		switch {
		case !same:
			shown.numbers = append(shown.numbers, value)
			shown.addPlace(i)
			newest, same = stamp, true
		case stamp > newest:
			shown.numbers[len(shown.numbers)-1] = value
			newest = stamp
		}
	}
}

// parseLatest reads "number stamp deadline", the times in microseconds.
func parseLatest(text string) (value float64, stamp, deadline int64, err error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) == 3 {
		var errs [3]error
		value, errs[0] = strconv.ParseFloat(parts[0], 64)
		stamp, errs[1] = strconv.ParseInt(parts[1], 10, 64)
		deadline, errs[2] = strconv.ParseInt(parts[2], 10, 64)
		if cmp.Or(errs[:]...) == nil {
			return value, stamp, deadline, nil
		}
	}
	return 0, 0, 0, &wire.StoredError{What: "value", Text: text, Why: errNoLatest}
}
