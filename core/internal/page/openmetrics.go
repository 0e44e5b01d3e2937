// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// In OpenMetrics the family of the counter x_total is x, and samples named x_created tell when the
// series of x began. Another family may have one of these names, and keeps it. Such a counter is
// then of unknown type in OpenMetrics, where such a family has the name of its samples, and the
// samples named x_created are missing.

// shareNames notes which of the family's names in OpenMetrics are those of other families.
func (f *shownFamily) shareNames(others map[string]bool) {
	base, total := strings.CutSuffix(f.name, "_total")
	f.sharesName = f.kind == wire.TypeCounter && total && others[base]
	f.sharesCreated = others[f.createdName()]
}

// createdName is the name of the samples that tell in OpenMetrics 1.0 when the series began;
// empty if it has none. There a counter without _total is of unknown type.
func (f *shownFamily) createdName() string {
	base, total := strings.CutSuffix(f.name, "_total")
	switch {
	case f.sharesName, f.sharesCreated:
	case f.kind == wire.TypeCounter && total:
		return base + "_created"
	case f.kind == wire.TypeSummary, f.kind == wire.TypeHistogram:
		return f.name + "_created"
	}
	return ""
}

// createdBound is how many bytes those samples have as text at most, if the labels of all
// rows together have labelText bytes.
func (f *shownFamily) createdBound(labelText int) int {
	name := f.createdName()
	if f.starts == nil || name == "" {
		return 0
	}
	return addBounded(labelText, mulBounded(f.len(), len(name)+len("{} \n")+longestNumber))
}

// makeUnknown makes a family of counters one of unknown type.
func makeUnknown(family *dto.MetricFamily) {
	family.Type = dto.MetricType_UNTYPED.Enum()
	for _, m := range family.Metric {
		m.Counter, m.Untyped = nil, &dto.Untyped{Value: m.Counter.Value}
	}
}
