// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// generator makes what a gatherer may give out of bytes. Most of it is what client_golang could
// give. After the last byte all are 0.
type generator struct{ data []byte }

func (g *generator) next() int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b)
}

// rarely is true once in 16 times.
func (g *generator) rarely() bool { return g.next()%16 == 15 }

var (
	names = []string{"c_total", "h", "s", "g", "odd.total", "u", "", "shoal_errors_total", "s_sum", "h_count", "\xff"}
	kinds = []dto.MetricType{0, 4, 2, 1, 0, 3, 0, 0, 0, 0, 0}
)

// families returns one reading.
func (g *generator) families() (families []*dto.MetricFamily) {
	for range g.next() % 6 {
		if g.rarely() {
			families = append(families, nil)
			continue
		}
		families = append(families, g.family())
	}
	return families
}

func (g *generator) family() *dto.MetricFamily {
	i := g.next()
	if i < 200 {
		i %= 6
	}
	i %= len(names)
	f := &dto.MetricFamily{Name: new(names[i]), Help: new("Help."), Type: kinds[i].Enum()}
	switch what := g.next(); {
	case what < 200:
	case what < 210:
		f.Type = nil
	case what < 220:
		f.Name = nil
	case what < 230:
		f.Help = new("\xfe")
	default:
		f.Type = dto.MetricType(what % 7).Enum()
	}
	for range g.next() % 5 {
		if g.rarely() && g.rarely() {
			f.Metric = append(f.Metric, nil)
			continue
		}
		f.Metric = append(f.Metric, g.metric(f.GetType()))
	}
	return f
}

func (g *generator) metric(kind dto.MetricType) *dto.Metric {
	m := &dto.Metric{Label: g.labels()}
	if g.rarely() && g.rarely() {
		kind = dto.MetricType(g.next() % 6)
	}
	switch kind {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: g.value(), CreatedTimestamp: g.began().CreatedTimestamp}
	case dto.MetricType_GAUGE:
		m.Gauge = &dto.Gauge{Value: g.value()}
	case dto.MetricType_UNTYPED:
		m.Untyped = &dto.Untyped{Value: g.value()}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleCount: g.count(), SampleSum: g.value(), CreatedTimestamp: g.began().CreatedTimestamp}
		for range g.next() % 3 {
			m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: g.value(), Value: g.value()}, nil)
		}
	default:
		m.Histogram = g.histogram()
	}
	return m
}

// labels are most often one of a few sets, so that series come again.
func (g *generator) labels() []*dto.LabelPair {
	pair := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	switch set := g.next(); {
	case set < 80:
		return nil
	case set < 160:
		return []*dto.LabelPair{pair("a", "1")}
	case set < 200:
		return []*dto.LabelPair{pair("a", "2")}
	case set < 220:
		return []*dto.LabelPair{pair("a", "1"), pair("b", "1")}
	case set < 230:
		return []*dto.LabelPair{pair("a.b", "1"), pair("a_b", "2")}
	case set < 235:
		return []*dto.LabelPair{pair("a", "1"), pair("a", "2")}
	case set < 240:
		return []*dto.LabelPair{nil, {}, pair("", "1")}
	case set < 245:
		return []*dto.LabelPair{pair("a", "\xff")}
	case set < 250:
		return []*dto.LabelPair{pair([]string{"le", "quantile", "gauge_index", "__name__"}[set%4], "1")}
	}
	return []*dto.LabelPair{pair("b", "2"), pair("a", "")}
}

func (g *generator) value() *float64 {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e308, 0.1, 1 << 53, math.MaxUint64, -1e308, math.SmallestNonzeroFloat64}
	switch v := g.next(); {
	case v < 220:
		return new(float64(v % 40))
	case v < 250:
		return &odd[v%len(odd)]
	}
	return nil
}

func (g *generator) count() *uint64 {
	switch v := g.next(); {
	case v < 230:
		return new(uint64(v % 40))
	case v < 250:
		return new([]uint64{math.MaxUint64, math.MaxInt64, 1 << 53, 1<<53 + 1, 1 << 62}[v%5])
	}
	return nil
}

// began returns a counter that has the time at which a series began: mostly none, or now.
func (g *generator) began() *dto.Counter {
	c := &dto.Counter{}
	at := newOf(c.CreatedTimestamp)
	switch v := g.next(); {
	case v < 200:
		return c
	case v < 230:
		at.Seconds, at.Nanos = time.Now().Unix(), int32(time.Now().Nanosecond())
	case v < 240:
		at.Seconds = 1000
	case v < 245:
		at.Seconds = time.Now().Unix() + 3600
	default:
		at.Seconds, at.Nanos = math.MaxInt64, -1
	}
	c.CreatedTimestamp = at
	return c
}

// newOf returns a new value of the type that p points to.
func newOf[T any](*T) *T { return new(T) }

func (g *generator) histogram() *dto.Histogram {
	h := &dto.Histogram{SampleSum: g.value(), CreatedTimestamp: g.began().CreatedTimestamp}
	bounds := [][]float64{{1, 2}, {1, 2, math.Inf(1)}, {1, 1.5, 5}, {}, {2, 1}, {math.NaN(), 1}, {math.Inf(-1), 0}, {1, 1}}
	i := g.next()
	if i < 200 {
		i %= 4
	}
	var sum uint64
	for _, bound := range bounds[i%len(bounds)] {
		n := g.count()
		if !g.rarely() && n != nil { // else it may be less than that of the bucket before
			sum += *n
			n = new(sum)
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(bound), CumulativeCount: n})
		if g.rarely() && g.rarely() {
			h.Bucket = append(h.Bucket, nil, &dto.Bucket{})
		}
	}
	if h.SampleCount = g.count(); h.SampleCount != nil && !g.rarely() {
		*h.SampleCount += sum
	}
	switch native := g.next(); {
	case native > 240:
		h.SampleCountFloat = g.value()
	case native > 220:
		h.Schema, h.ZeroCount, h.PositiveSpan = new(int32(3)), g.count(), []*dto.BucketSpan{nil, {Length: new(uint32(1))}}
	}
	return h
}
