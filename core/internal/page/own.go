// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Own is one of shoal's own metrics. Processes send of these only what is not 0. A page adds the
// zeros, so that increase() sees the first event, whoever counts it.
type Own struct {
	Name, Help, Type string
	Bounds           []float64 // of a histogram, without +Inf
	PerProcess       bool      // of a gauge with a series for each living process
	Label            string    // empty for a metric without labels
	Values           []string  // of the label: those of which a page always has a series
}

// ownMetric is what a reader knows of one.
type ownMetric struct {
	Own
	zeros *shownFamily // as it is where Redis has nothing of it; nil for a gauge of processes
	seen  bool         // Redis has had the family since its name was listed
}

func newOwnMetrics(list []Own) []ownMetric {
	metrics := make([]ownMetric, len(list))
	for i, o := range list {
		metrics[i].Own = o
		if o.PerProcess {
			continue
		}
		sets := [][]wire.Label{nil}
		if o.Label != "" {
			sets = nil
			for _, value := range slices.Sorted(slices.Values(o.Values)) {
				sets = append(sets, []wire.Label{{Name: o.Label, Value: value}})
			}
		}
		metrics[i].zeros = o.family(sets)
	}
	return metrics
}

// family makes the family with zeros at these labels.
func (o *Own) family(sets [][]wire.Label) *shownFamily {
	f := &shownFamily{name: o.Name, help: o.Help, kind: o.Type, bounds: o.Bounds, labels: &labelSets{decoded: sets}}
	f.numbers = make([]float64, len(sets)*f.width())
	return f
}

// zerosOf is the family of one of shoal's own metrics as it is where Redis has nothing of it.
func (b *builder) zerosOf(m *ownMetric) *shownFamily {
	if !m.PerProcess {
		return m.zeros
	}
	sets := make([][]wire.Label, len(b.read))
	for i, index := range b.read {
		sets[i] = []wire.Label{{Name: indexLabel, Value: strconv.Itoa(index)}}
	}
	f := m.family(sets)
	f.perProcess = true
	return f
}

// addZeros adds to a family that is one of shoal's own metrics, as this version declares it, the
// zeros at those labels of which Redis has nothing. A value that is not readable is not 0.
func (b *builder) addZeros(shown *shownFamily, f *storedFamily) {
	if !strings.HasPrefix(f.name, wire.SelfPrefix) || shown.labels == nil {
		return
	}
	at := slices.IndexFunc(b.own, func(m ownMetric) bool {
		return m.Name == f.name && m.Type == f.state.Type && m.PerProcess == !f.state.Shared() && f.state.Mode == ""
	})
	if at < 0 {
		return
	}
	b.own[at].seen = true
	stored := map[string]bool{}
	for i := range shown.len() {
		_, place := shown.row(i)
		stored[shown.labels.text(place)] = true
	}
	for i, v := range f.values {
		if v.Found {
			stored[f.series.labels.text(i)] = true
		}
	}
	zeros := b.zerosOf(&b.own[at])
	var missing [][]wire.Label
	for i, labels := range zeros.labels.decoded {
		if !stored[zeros.labels.text(i)] {
			missing = append(missing, labels)
		}
	}
	if len(missing) > 0 {
		shown.perProcess = zeros.perProcess
		shown.addRowsOfZeros(missing)
	}
}

// addRowsOfZeros adds rows of zeros at these labels.
func (f *shownFamily) addRowsOfZeros(sets [][]wire.Label) {
	type row struct {
		labels  []wire.Label
		numbers []float64
		start   int64
	}
	var rows []row
	for i := range f.len() {
		numbers, place := f.row(i)
		rows = append(rows, row{f.labels.appendLabels(nil, place), numbers, f.start(place)})
	}
	for _, labels := range sets {
		rows = append(rows, row{labels, make([]float64, f.width()), 0})
	}
	slices.SortStableFunc(rows, func(x, y row) int { return compareLabels(x.labels, y.labels) })
	f.labels, f.rows, f.numbers, f.starts = &labelSets{}, nil, nil, nil
	for _, r := range rows {
		f.labels.decoded = append(f.labels.decoded, r.labels)
		f.numbers = append(f.numbers, r.numbers...)
		f.starts = append(f.starts, r.start)
	}
}

// addAbsent adds those of shoal's own metrics that Redis does not have: their names are not in its
// list, or a process is about to register them. Others that are not on the page could not be read:
// they are not 0.
func (b *builder) addAbsent(p *Page, owners map[string]string) {
	if b.app.Omitted > 0 {
		return // the list may have them
	}
	for i := range b.own {
		m := &b.own[i]
		if b.narrow && !m.PerProcess {
			continue // nobody asked whether Redis has it
		}
		unregistered, listed := b.listed[m.Name]
		if !listed {
			m.seen = false
		}
		if listed && (!unregistered || m.seen) || occupied(owners, m.Name, m.Type) != "" {
			continue
		}
		if zeros := b.zerosOf(m); zeros.len() > 0 {
			p.families = append(p.families, zeros)
		}
	}
}

// zerosBound is how long the zeros are as text at most.
func (b *builder) zerosBound() (size int) {
	for i := range b.own {
		m := &b.own[i]
		if m.PerProcess {
			line := len(m.Name) + len(`{gauge_index=""} 0`) + longestNumber
			size = addBounded(size, addBounded(2*len(m.Name)+len(m.Help)+40, mulBounded(line, len(b.read))))
			continue
		}
		size = addBounded(size, m.zeros.textSize())
	}
	return size
}
