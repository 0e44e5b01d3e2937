// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
)

func TestHistogram_CountsIntoItsBuckets(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 20, 25.5}})
	h.Observe(25.4)
	if err := h.ObserveSync(within(t), 3); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 0
took_seconds_bucket{le="20"} 1
took_seconds_bucket{le="25.5"} 2
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 28.4
took_seconds_count 2
`
	if got := scrape(t, f.process(t)).users(); got != want {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
}

func TestHistogram_AValueOnABoundFallsInside(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{-1, 0, 0.1, 1, math.Inf(1)}})
	for _, v := range []float64{-1, 0, math.Copysign(0, -1), 0.1, 1, math.Nextafter(1, 2)} {
		h.Observe(v)
	}
	flush(t, reg)
	scrape(t, f.process(t)).want(t, `h_bucket{le="-1"}`, "1", `h_bucket{le="0"}`, "3",
		`h_bucket{le="0.1"}`, "4", `h_bucket{le="1"}`, "5", `h_bucket{le="+Inf"}`, "6", "h_count", "6")
}

func TestHistogram_BucketsAreInOrderOfNumbersWithOneInfinityLast(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{1, 2, 10, 1e3, 1e21, math.Inf(1)}})
	h.Observe(math.MaxFloat64)
	flush(t, reg)
	var bounds []string
	for line := range strings.Lines(scrape(t, f.process(t)).text) {
		if rest, ok := strings.CutPrefix(line, `h_bucket{le="`); ok {
			bound, _, _ := strings.Cut(rest, `"`)
			bounds = append(bounds, bound)
		}
	}
	if want := []string{"1", "2", "10", "1000", "1e+21", "+Inf"}; !slices.Equal(bounds, want) {
		t.Errorf("the bounds are %q, want %q", bounds, want)
	}
}

func TestHistogram_ALabelledOneShowsNoSeriesWithoutLabels(t *testing.T) {
	f := newFleet(t)
	reg := f.process(t)
	v := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h", Buckets: []float64{1}}, []string{"route"})
	s := reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, []string{"route"})
	flush(t, reg)
	p := scrape(t, reg)
	for _, name := range []string{"h_", "s_"} {
		if err := p.lacks(name); err != nil {
			t.Errorf("nobody asked for a child: %v", err)
		}
	}
	v.WithLabelValues("/a").Observe(1)
	s.WithLabelValues("/a").Observe(1)
	flush(t, reg)
	p = scrape(t, reg)
	for _, line := range append(p.of("h_"), p.of("s_")...) {
		if !strings.Contains(line, `route="/a"`) {
			t.Errorf("a series without the label: %s", line)
		}
	}
	if n := len(p.of("h_")); n != 4 {
		t.Errorf("%d samples, want 4", n)
	}
}

func TestSummary_ShowsSumAndCount(t *testing.T) {
	f := newFleet(t)
	opts := shoal.SummaryOpts{Name: "size_bytes", Help: "Size."}
	one, two := f.process(t), f.process(t)
	a, b := one.NewSummary(opts), two.NewSummary(opts)
	a.Observe(25.4)
	b.Observe(3)
	if err := b.ObserveSync(within(t), -0.4); err != nil {
		t.Fatal(err)
	}
	flush(t, one)
	const want = `# HELP size_bytes Size.
# TYPE size_bytes summary
size_bytes_sum 28
size_bytes_count 3
`
	if got := scrape(t, two).users(); got != want {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
}

// The promise that no bad input spreads, as far as numbers go.
func TestNoBadInputSpreads_Numbers(t *testing.T) {
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
	p := scrape(t, other)
	p.want(t, `h_bucket{le="1"}`, "1", `h_bucket{le="+Inf"}`, "1", "h_sum", "0.5", "h_count", "1",
		"s_sum", "0.5", "s_count", "1", "big_sum", "1.7976931348623157e+308", "big_count", "3",
		`shoal_rejected_observations_total{reason="nan"}`, "2",
		`shoal_rejected_observations_total{reason="infinite"}`, "4")
}
