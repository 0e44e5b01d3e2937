// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"math"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestCounter_AwaitedAddReturnsTheTotalOfTheFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	opts := shoal.CounterOpts{Name: "orders_total", Help: "Orders."}
	one := f.process(t).NewCounter(opts)
	two := f.process(t).NewCounter(opts)
	if total, err := one.IncSync(testkit.Within(t)); err != nil || total != 1 {
		t.Errorf("the first gives %v, %v; want 1", total, err)
	}
	if total, err := two.AddSync(testkit.Within(t), 3); err != nil || total != 4 {
		t.Errorf("3 more from another process give %v, %v; want 4", total, err)
	}
	if total, err := one.AddSync(testkit.Within(t), 0.5); err != nil || total != 4.5 {
		t.Errorf("a half more gives %v, %v; want 4.5", total, err)
	}
}

func TestCounter_AddsThatNobodyAwaitsArriveToo(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "orders_total"})
	c.Inc()
	c.Add(3)
	// No synchronous call; and the other process never declared the counter.
	testkit.EventuallyHas(t, other, "orders_total", "4")
}

func TestCounter_WholeNumbersAfterFractionsAreNotLost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "weight_total"})
	for i, v := range []float64{1, 1.5, 2, 0.25, 1} {
		if _, err := c.AddSync(testkit.Within(t), v); err != nil {
			t.Fatalf("add %d: %v", i, err)
		}
	}
	testkit.Scrape(t, f.process(t)).Want(t, "weight_total", "5.75")
}

// Two writers add a pair of numbers in Redis.
func TestCounter_NumbersAtTheEdgesAddUpInRedis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		a, b float64
	}{
		{"tiny", 1.5e-7, 1e-5},
		{"exponent", 3e15, 0.5},
		{"tenths", 0.1, 0.2},
		{"below 2^53", 1<<53 - 2, 1},
		{"2^53", 1<<53 - 1, 1},
		{"above 2^53", 1 << 53, 2},
		{"2^63", 1 << 63, 1 << 12},
		{"huge", 1e308, 1e307},
		{"beyond", 1e308, 1e308},
		{"subnormal", math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64},
		{"negative zero", math.Copysign(0, -1), math.Copysign(0, -1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t)
			opts := shoal.CounterOpts{Name: "edge_total"}
			want := min(test.a+test.b, math.MaxFloat64)
			one, two := f.process(t), f.process(t)
			if _, err := one.NewCounter(opts).AddSync(testkit.Within(t), test.a); err != nil {
				t.Fatal(err)
			}
			total, err := two.NewCounter(opts).AddSync(testkit.Within(t), test.b)
			if err != nil || total != want || math.Signbit(total) {
				t.Errorf("%v and %v give %v, %v; want %v", test.a, test.b, total, err, want)
			}
			if v, ok := testkit.Scrape(t, one).Value("edge_total"); !ok || v != want {
				t.Errorf("the page shows %v, want %v", v, want)
			}
		})
	}
}

func TestCounter_ItsZeroIsShownBeforeItsFirstEvent(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	reg.NewCounter(shoal.CounterOpts{Name: "orders_total"})
	reg.NewCounterVec(shoal.CounterOpts{Name: "refunds_total"}, []string{"currency"}).WithLabelValues("EUR")
	reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}})
	reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"})
	flush(t, reg)
	p := testkit.Scrape(t, other)
	p.Want(t, "orders_total", "0", `refunds_total{currency="EUR"}`, "0",
		`took_seconds_bucket{le="1"}`, "0", `took_seconds_bucket{le="+Inf"}`, "0",
		"took_seconds_sum", "0", "took_seconds_count", "0", "size_bytes_sum", "0", "size_bytes_count", "0")
	if err := p.Lacks("depth"); err != nil {
		t.Errorf("a gauge that nobody set: %v", err)
	}
}
