// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
)

// page is everything that was read of an app, ready to be encoded: families by
// name, the series of each by their labels. It is shared between scrapes and
// never changed.
type page struct {
	families []*dto.MetricFamily
	encoded  encodings
}

// learn orders the series of a family by their labels. What is no label set is
// left off and reported.
func (r *reader) learn(name, shape string, stored []wire.Series) (*knownFamily, []wire.SeriesValue) {
	type entry struct {
		field  string
		labels []*dto.LabelPair
		value  wire.SeriesValue
	}
	entries := make([]entry, 0, len(stored))
	for _, s := range stored {
		labels, err := pageLabels(s.Field)
		if err != nil {
			r.reg.corrupt(name, err)
			continue
		}
		entries = append(entries, entry{s.Field, labels, wire.SeriesValue{Text: s.Text, Found: true}})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(compareLabels(a.labels, b.labels), cmp.Compare(a.field, b.field))
	})
	k := &knownFamily{shape: shape}
	values := make([]wire.SeriesValue, len(entries))
	for i, e := range entries {
		k.fields = append(k.fields, e.field)
		k.labels = append(k.labels, e.labels)
		values[i] = e.value
	}
	return k, values
}

// pageLabels reads the labels of a stored field. Labels that have a meaning of
// their own on the page make it invalid.
func pageLabels(field string) ([]*dto.LabelPair, error) {
	labels, err := wire.DecodeField(field)
	if err != nil {
		return nil, err
	}
	pairs := make([]*dto.LabelPair, len(labels))
	for i, l := range labels {
		if reservedLabel(l.Name) {
			return nil, fmt.Errorf("field %q: the label %s is reserved", field, l.Name)
		}
		pairs[i] = &dto.LabelPair{Name: proto.String(l.Name), Value: proto.String(l.Value)}
	}
	return pairs, nil
}

// compareLabels orders label sets by their pairs, the first difference first.
func compareLabels(a, b []*dto.LabelPair) int {
	return slices.CompareFunc(a, b, func(x, y *dto.LabelPair) int {
		return cmp.Or(cmp.Compare(x.GetName(), y.GetName()), cmp.Compare(x.GetValue(), y.GetValue()))
	})
}

// pageBuilder joins what was read to a page.
type pageBuilder struct {
	reg    *Registry
	leases []wire.Lease
	now    time.Time                // the store's
	gauges map[string][]gaugeSample // by family
}

func newPageBuilder(reg *Registry, app wire.AppState) *pageBuilder {
	return &pageBuilder{reg: reg, leases: app.Leases, now: app.Now, gauges: map[string][]gaugeSample{}}
}

// build renders the families. Where two of them would write samples of one
// name, the one that was registered first is shown.
func (b *pageBuilder) build(families []readFamily) *page {
	slices.SortFunc(families, func(x, y readFamily) int {
		return cmp.Or(cmp.Compare(x.state.Created, y.state.Created), cmp.Compare(x.name, y.name))
	})
	owners := map[string]string{}
	for _, f := range b.instances() {
		owners[f.GetName()] = "shoal itself"
	}
	p := &page{families: b.instances()}
	for _, f := range families {
		if other := occupied(owners, f.name, f.state.Type); other != "" {
			b.reg.self.leftOff.Inc()
			b.reg.report("left off "+f.name, fmt.Errorf("shoal: %s %s is left off the page: "+
				"%s, registered before it, writes samples of the same name: rename one of the two", f.state.Type, f.name, other))
			continue
		}
		for _, name := range ownedNames(f.name, f.state.Type) {
			owners[name] = f.name
		}
		if metrics := b.metrics(&f); len(metrics) > 0 {
			family := &dto.MetricFamily{
				Name: proto.String(f.name), Type: metricType(f.state.Type).Enum(), Metric: metrics,
			}
			if f.state.Help != "" {
				family.Help = proto.String(readable(f.state.Help))
			}
			p.families = append(p.families, family)
		}
	}
	slices.SortFunc(p.families, func(x, y *dto.MetricFamily) int { return cmp.Compare(x.GetName(), y.GetName()) })
	return p
}

func occupied(owners map[string]string, name, kind string) string {
	for _, owned := range ownedNames(name, kind) {
		if other := owners[owned]; other != "" {
			return other
		}
	}
	return ""
}

func metricType(kind string) dto.MetricType {
	switch kind {
	case wire.TypeCounter:
		return dto.MetricType_COUNTER
	case wire.TypeSummary:
		return dto.MetricType_SUMMARY
	case wire.TypeHistogram:
		return dto.MetricType_HISTOGRAM
	}
	return dto.MetricType_GAUGE
}

// metrics renders the series of a family.
func (b *pageBuilder) metrics(f *readFamily) []*dto.Metric {
	if f.state.Type == wire.TypeGauge && f.state.Mode != wire.ModeLatest {
		return b.gaugeMetrics(f)
	}
	if f.known == nil {
		return nil
	}
	if f.state.Type == wire.TypeGauge {
		return b.latestMetrics(f)
	}
	var bounds []float64
	if f.state.Type == wire.TypeHistogram {
		var err error
		if bounds, err = parseBounds(f.state.Bounds); err != nil {
			b.reg.corrupt(f.name, err)
			return nil
		}
	}
	metrics := make([]*dto.Metric, 0, len(f.values))
	var sum vectorSum
	for i, v := range f.values {
		if v.Found {
			if err := sum.add(f.state.Type, v.Text); err != nil {
				b.reg.corrupt(f.name, err)
			}
		}
		// Other writers may have stored one label set in several ways: they
		// are neighbours, and summed.
		last := i == len(f.values)-1 || compareLabels(f.known.labels[i], f.known.labels[i+1]) != 0
		if last && sum.found {
			metrics = append(metrics, sum.metric(f.state.Type, bounds, f.known.labels[i]))
		}
		if last {
			sum.reset()
		}
	}
	return metrics
}

// instances renders the families that name the living processes.
func (b *pageBuilder) instances() []*dto.MetricFamily {
	count := &dto.MetricFamily{
		Name: proto.String("shoal_instances"), Type: dto.MetricType_GAUGE.Enum(),
		Help:   proto.String("Processes of the app that are alive: they hold a lease."),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(float64(len(b.leases)))}}},
	}
	info := &dto.MetricFamily{
		Name: proto.String("shoal_instance_info"), Type: dto.MetricType_GAUGE.Enum(),
		Help: proto.String("Who the process with this gauge_index is; always 1."),
	}
	start := &dto.MetricFamily{
		Name: proto.String("shoal_instance_start_time_seconds"), Type: dto.MetricType_GAUGE.Enum(),
		Help: proto.String("When the process with this gauge_index started, in Unix time."),
	}
	for _, l := range b.leases {
		index := label("gauge_index", strconv.Itoa(l.Index))
		labels := []*dto.LabelPair{index}
		for _, extra := range []*dto.LabelPair{label("host", readable(l.Info.Host)), label("version", readable(l.Info.Version))} {
			if extra.GetValue() != "" {
				labels = append(labels, extra)
			}
		}
		info.Metric = append(info.Metric, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: proto.Float64(1)}})
		start.Metric = append(start.Metric, &dto.Metric{
			Label: []*dto.LabelPair{index},
			Gauge: &dto.Gauge{Value: proto.Float64(float64(l.Info.Started) / float64(time.Second/time.Microsecond))},
		})
	}
	if len(b.leases) == 0 {
		return []*dto.MetricFamily{count}
	}
	return []*dto.MetricFamily{info, start, count}
}

// readable repairs a text that another process stored. One byte that is not
// UTF-8 would make Prometheus refuse the whole page.
func readable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)}
}
