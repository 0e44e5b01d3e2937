// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func newVec() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, []string{"a"})
}

func TestReset_TheTotalsGoOn(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	c := newVec()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1}}, []string{"a"})
	s := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "s"}, []string{"a"})
	p.counted.MustRegister(c, h, s)
	count := func(n int) {
		for range n {
			c.WithLabelValues("x").Inc()
			h.WithLabelValues("x").Observe(.5)
			s.WithLabelValues("x").Observe(2)
		}
	}
	count(5)
	p.flush()
	c.Reset()
	h.Reset()
	s.Reset()
	p.flush() // sees none
	count(2)
	p.wants(`c_total{a="x"} 7
h_bucket{a="x",le="1"} 7
h_bucket{a="x",le="+Inf"} 7
h_sum{a="x"} 3.5
h_count{a="x"} 7
s_sum{a="x"} 14
s_count{a="x"} 7
`)
	// Reset, and counted beyond the old value before the next reading: only the created timestamp of
	// the child tells.
	c.Reset()
	h.Reset()
	s.Reset()
	count(10)
	p.wants(`c_total{a="x"} 17
h_bucket{a="x",le="1"} 17
h_bucket{a="x",le="+Inf"} 17
h_sum{a="x"} 8.5
h_count{a="x"} 17
s_sum{a="x"} 34
s_count{a="x"} 17
`)
}

func TestUnregister_AndRegisterAgainCountsNothingTwice(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	c := newVec()
	p.counted.MustRegister(c)
	c.WithLabelValues("x").Add(5)
	p.wants("c_total{a=\"x\"} 5\n")
	p.counted.Unregister(c)
	c.WithLabelValues("x").Add(1) // seen when it is registered again
	p.wants("c_total{a=\"x\"} 5\n")
	p.counted.MustRegister(c)
	p.wants("c_total{a=\"x\"} 6\n")
	c.WithLabelValues("x").Inc()
	p.wants("c_total{a=\"x\"} 7\n")
}

func TestDelete_OfOneChildCountsItsSuccessorFrom0(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	c := newVec()
	p.counted.MustRegister(c)
	c.WithLabelValues("x").Add(5)
	c.WithLabelValues("y").Add(5)
	p.flush()
	c.DeleteLabelValues("x")
	c.WithLabelValues("x").Add(5)
	p.wants("c_total{a=\"x\"} 10\nc_total{a=\"y\"} 5\n")
}

func TestUnregister_ANewVectorWithTheSameLabelsIsCountedWhole(t *testing.T) {
	for _, n := range []float64{3, 5, 50} { // less, as much and more than the old one
		p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
		old := newVec()
		p.counted.MustRegister(old)
		old.WithLabelValues("x").Add(5)
		p.flush()
		p.counted.Unregister(old)
		next := newVec()
		p.counted.MustRegister(next)
		next.WithLabelValues("x").Add(n)
		if got := shoaltest.Value(t, p.shown, "c_total", "a", "x"); got != 5+n {
			t.Errorf("after 5 and a new one with %v the page has %v", n, got)
		}
	}
}

// A collector that makes its metrics anew for each Gather gives no time at which they began, or
// always the same one.
func TestConstMetrics_AreReadByTheirValues(t *testing.T) {
	for name, began := range map[string]time.Time{
		"without a time": {}, "the program's start": time.Unix(1000, 0), "before 1970": time.Unix(-5, 7),
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
			c := &constant{began: began}
			p.counted.MustRegister(c)
			want := 0.
			for _, v := range []int64{5, 5, 9, 2, 3} { // falls once: the database was restarted
				was := c.value.Swap(v)
				if v < was {
					was = 0
				}
				want += float64(v - was)
				if got := shoaltest.Value(t, p.shown, "c_total"); got != want {
					t.Fatalf("at %v the page has %v, want %v", v, got, want)
				}
			}
		})
	}
}

// constant is a collector as those of databases are.
type constant struct {
	value atomic.Int64
	began time.Time
}

var constantDesc = prometheus.NewDesc("c_total", "Of a database.", nil, nil)

func (c *constant) Describe(ch chan<- *prometheus.Desc) { ch <- constantDesc }

func (c *constant) Collect(ch chan<- prometheus.Metric) {
	if !c.began.IsZero() {
		ch <- prometheus.MustNewConstMetricWithCreatedTimestamp(constantDesc, prometheus.CounterValue, float64(c.value.Load()), c.began)
		return
	}
	ch <- prometheus.MustNewConstMetric(constantDesc, prometheus.CounterValue, float64(c.value.Load()))
}

func TestHistogram_WithOtherBucketsIsCountedWhole(t *testing.T) {
	p := start(t, shoaltest.NewServer(), shoalprom.Opts{})
	newHistogram := func(bounds ...float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: bounds})
		p.counted.MustRegister(h)
		return h
	}
	h := newHistogram(1, 2)
	h.Observe(.5)
	h.Observe(1.5)
	p.flush()
	p.counted.Unregister(h)
	h = newHistogram(1, 1.5, 5)
	h.Observe(.5)  // at most 1
	h.Observe(1.2) // at most 1.5, which is on the page at most 2
	h.Observe(3)   // at most 5, which is on the page at most +Inf
	p.wants(`h_bucket{le="1"} 2
h_bucket{le="2"} 4
h_bucket{le="+Inf"} 5
h_sum 6.7
h_count 5
`)
}
