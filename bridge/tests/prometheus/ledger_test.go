// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// alone returns what one process has counted that did the work of all the processes.
func (f *fleet) alone(work func(c *child) int) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	p := newProgram(reg)
	for _, c := range slices.Concat(f.ended, f.living) {
		for n := 1; n <= work(c); n++ {
			p.order(c.name, n)
		}
	}
	_ = p.db.Close()
	return reg
}

// samples returns the counters, and the parts of histograms and summaries, by name and labels.
func samples(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	testkit.Must(t, err)
	all := map[string]float64{}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "shoal_") || strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "go_sql_") ||
			strings.HasPrefix(name, "process_") || f.GetType() == dto.MetricType_GAUGE {
			continue // not of the work
		}
		for _, m := range f.Metric {
			series := fmt.Sprint(f.GetName(), m.Label)
			switch {
			case m.Counter != nil:
				all[series] = m.Counter.GetValue()
			case m.Summary != nil:
				all[series+" count"], all[series+" sum"] = float64(m.Summary.GetSampleCount()), m.Summary.GetSampleSum()
			case m.Histogram != nil:
				all[series+" count"], all[series+" sum"] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
				for _, b := range m.Histogram.Bucket {
					if math.IsInf(b.GetUpperBound(), 1) {
						continue // it is the count, and not every registry gives it
					}
					all[fmt.Sprintf("%s le %v", series, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return all
}

// balances compares the page with the ledgers, sample by sample: at least what was delivered for
// sure, and at most what was counted. If no process was killed, the two are equal.
func (f *fleet) balances() {
	f.t.Helper()
	least := samples(f.t, f.alone(func(c *child) int { return c.delivered }))
	most := samples(f.t, f.alone(func(c *child) int { return c.counted }))
	var page map[string]float64
	testkit.EventuallyPage(f.t, f.page, func(testkit.Page) error { return nil }) // Redis has recovered
	page = samples(f.t, f.page)
	for sample, got := range page {
		if _, ok := most[sample]; !ok {
			f.t.Errorf("the page has %s, %v, which nobody counted", sample, got)
		}
	}
	for sample, most := range most {
		if got, ok := page[sample]; !ok && most > 0 && least[sample] > 0 || got < least[sample] || got > most {
			f.t.Errorf("%s is %v, want %v to %v", sample, got, least[sample], most)
		}
	}
	f.balancesByWorker()
}

// balancesByWorker looks at the one family that has the worker as a label.
func (f *fleet) balancesByWorker() {
	f.t.Helper()
	page := testkit.Scrape(f.t, f.page)
	lost := 0
	for _, c := range f.ended {
		got, _ := page.Value(ordersOf(c.name))
		if int(got) < c.shown || int(got) > c.counted {
			f.t.Errorf("the page has %v orders of worker %s, want %d to %d", got, c.name, c.shown, c.counted)
		}
		lost += c.counted - int(got)
	}
	f.t.Logf("%d processes took %v orders that are on the page, and %d that killed processes had not delivered",
		len(f.ended), page.Sum("orders_total"), lost)
}

// likeOneProcess compares the page with one process that did all the work alone: family by
// family, in the text format. Set aside are gauges of processes.
func (f *fleet) likeOneProcess() {
	f.t.Helper()
	alone := f.alone(func(c *child) int { return c.counted })
	families, err := alone.Gather()
	testkit.Must(f.t, err)
	compared := 0
	for _, family := range families {
		if family.GetType() == dto.MetricType_GAUGE && strings.HasPrefix(family.GetName(), "go_sql_") {
			continue
		}
		var text strings.Builder
		_, err := expfmt.MetricFamilyToText(&text, family)
		testkit.Must(f.t, err)
		testkit.Check(f.t, testutil.GatherAndCompare(f.page, strings.NewReader(text.String()), family.GetName()))
		compared++
	}
	if compared < 10 {
		f.t.Errorf("only %d families were compared", compared)
	}
}
