// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestHistogram_CountsIntoItsBuckets(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 20, 25.5}})
	h.Observe(25.4)
	testkit.Must(t, h.ObserveSync(testkit.Within(t), 3))
	const want = `# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 0
took_seconds_bucket{le="20"} 1
took_seconds_bucket{le="25.5"} 2
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 28.4
took_seconds_count 2
`
	if got := testkit.Scrape(t, f.process(t)).Users(); got != want {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
}

func TestHistogram_BucketsAreInOrderOfNumbersWithOneInfinityLast(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{1, 2, 10, 1e3, 1e21, math.Inf(1)}})
	h.Observe(math.MaxFloat64)
	flush(t, reg)
	var bounds []string
	for _, part := range strings.Split(testkit.Scrape(t, f.process(t)).Text, `h_bucket{le="`)[1:] {
		bound, _, _ := strings.Cut(part, `"`)
		bounds = append(bounds, bound)
	}
	if want := []string{"1", "2", "10", "1000", "1e+21", "+Inf"}; !slices.Equal(bounds, want) {
		t.Errorf("the bounds are %q, want %q", bounds, want)
	}
}

func TestHistogram_ALabelledOneShowsNoSeriesWithoutLabels(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	v := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h", Buckets: []float64{1}}, []string{"route"})
	s := reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, []string{"route"})
	flush(t, reg)
	p := testkit.Scrape(t, reg)
	for _, name := range []string{"h_", "s_"} {
		if err := p.Lacks(name); err != nil {
			t.Errorf("a series without labels: %v", err)
		}
	}
	v.WithLabelValues("/a").Observe(1)
	s.WithLabelValues("/a").Observe(1)
	flush(t, reg)
	p = testkit.Scrape(t, reg)
	for _, line := range append(p.Of("h_"), p.Of("s_")...) {
		if !strings.Contains(line, `route="/a"`) {
			t.Errorf("a series without the label: %s", line)
		}
	}
	p.WantSamples(t, "h_", 4)
}

func TestSummary_ShowsSumAndCount(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	opts := shoal.SummaryOpts{Name: "size_bytes", Help: "Size."}
	one, two := f.process(t), f.process(t)
	a, b := one.NewSummary(opts), two.NewSummary(opts)
	a.Observe(25.4)
	b.Observe(3)
	testkit.Must(t, b.ObserveSync(testkit.Within(t), -0.4))
	flush(t, one)
	const want = `# HELP size_bytes Size.
# TYPE size_bytes summary
size_bytes_sum 28
size_bytes_count 3
`
	if got := testkit.Scrape(t, two).Users(); got != want {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
}

// A number that cannot be counted does not damage other processes' metrics.
func TestNoBadInputSpreads_Numbers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{1}})
	s := reg.NewSummary(shoal.SummaryOpts{Name: "s"})
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0.5} {
		h.Observe(v)
		s.Observe(v)
	}
	// Each is finite, their sum is not.
	big := reg.NewSummary(shoal.SummaryOpts{Name: "big"})
	for range 3 {
		big.Observe(math.MaxFloat64)
		flush(t, reg)
	}
	p := testkit.Scrape(t, other)
	p.Want(t, `h_bucket{le="1"}`, "1", `h_bucket{le="+Inf"}`, "1", "h_sum", "0.5", "h_count", "1",
		"s_sum", "0.5", "s_count", "1", "big_sum", "1.7976931348623157e+308", "big_count", "3",
		`shoal_rejected_observations_total{reason="nan"}`, "2",
		`shoal_rejected_observations_total{reason="infinite"}`, "4")
}
